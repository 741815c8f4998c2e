"""Text on its way into a table."""

from seawall.masking import Masker, default_masker

LIMIT = 16_384  # characters of a message or traceback


def storable(text: str) -> str:
    """The text as PostgreSQL can hold it: NUL and lone surrogates are written out."""
    if text.isascii() and "\x00" not in text:
        return text  # nearly always
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def recordable(text: str, masker: Masker = default_masker) -> str:
    """A message as it may be recorded: secrets masked, of bounded length, storable."""
    return storable(masker.mask_text(text[:LIMIT]))
