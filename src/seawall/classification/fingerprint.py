"""What makes two failures the same for learning: type, code, and the message without its values."""

import hashlib
import re
from typing import NamedTuple

from seawall.classification.codes import codes_of
from seawall.classification.reading import qualified_name, text_of

_LONGEST = 300
_VALUES = re.compile(
    r"""'[^'\n]*'|"[^"\n]*"|\bhttps?://\S+|(?<!\w)/[\w./-]+|\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}\b"""
    r"""|\b(?=\w*\d)[\w-]{8,}\b|\b0x[0-9a-fA-F]+\b|\S+@\S+|\d+(?:[.,:]\d+)*"""
)


class Fingerprint(NamedTuple):
    """One kind of failure at a site.

    Attributes:
        key: 16 hexadecimal digits, the same on every worker and in every run.
        exception_type: the qualified name of its type.
        code: the code that it carries, as ``explain`` spells it; empty where there is none.
        template: its message, the values in it replaced by ``<*>``.
    """

    key: str
    exception_type: str
    code: str
    template: str


def fingerprint_of(exc: BaseException) -> Fingerprint:
    """The fingerprint of an exception; its cause and the members of a group aren't in it."""
    name = qualified_name(type(exc))
    code = next(codes_of(exc), "")
    template = template_of(text_of(exc))
    digest = hashlib.blake2b(
        f"{name}\n{code}\n{template}".encode("utf-8", "replace"), digest_size=8
    )
    return Fingerprint(digest.hexdigest(), name, code, template)


def template_of(text: str) -> str:
    """The message's first line with numbers, names in quotes, paths and ids taken out."""
    return _VALUES.sub("<*>", text.partition("\n")[0][:_LONGEST])
