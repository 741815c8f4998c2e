"""A small model for what no table knows: a softmax over words, learnt from labelled exceptions.

Linear, so that its answer can be shown as the words it was given on; pure Python. Its weights are
in ``learned.json`` beside this module, made by ``benchmarks/train_classifier.py``.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from seawall.classification.chain import behind, members
from seawall.classification.error_type import ErrorType
from seawall.classification.message import own_words
from seawall.classification.reading import read, text_of

KINDS = (
    ErrorType.TRANSIENT,
    ErrorType.CONFIGURATION,
    ErrorType.DATA,
    ErrorType.SYSTEM,
    ErrorType.UNKNOWN,  # bugs, and what says nothing: learnt too, so that they aren't guessed at
)
SCALE = 100  # the file holds whole numbers: hundredths
# A retry that can't help is worse than an answer that isn't given.
SURE_ENOUGH = {kind: 0.7 if kind is ErrorType.TRANSIENT else 0.65 for kind in KINDS}

_LONGEST_TEXT = 250
_MOST_WORDS = 30
_MOST_BEHIND = 3
_CAMEL = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_WORD = re.compile(r"[a-z][a-z_]+(?:'[a-z]+)?|\b[1-5]\d\d\b")
_PLAIN = frozenset({"exceptions", "errors", "error", "exception", "builtins", "object", "base"})
_ATTRIBUTES = ("code", "status", "reason", "sqlstate", "errno")


class Guess(NamedTuple):
    """What the model says.

    Attributes:
        error_type: the likeliest class.
        confidence: its probability, 0 to 1.
    """

    error_type: ErrorType
    confidence: float


class Model:
    """Weights of a softmax over tokens. May be shared between threads.

    Args:
        bias: a number for each of ``KINDS``.
        weights: of each token, likewise.
    """

    __slots__ = ("_bias", "_weights")

    def __init__(self, bias: Sequence[float], weights: Mapping[str, Sequence[float]]) -> None:
        self._bias, self._weights = tuple(bias), dict(weights)

    def guess(self, tokens: Sequence[str]) -> Guess | None:
        """The likeliest class by these tokens; None where it knows none of them."""
        known = [row for token in tokens if (row := self._weights.get(token)) is not None]
        if not known:
            return None
        share = 1 / math.sqrt(len(tokens))
        totals = map(sum, zip(*known, strict=True))
        scores = [b + share * total for b, total in zip(self._bias, totals, strict=True)]
        top = max(scores)
        odds = [math.exp(score - top) for score in scores]
        best = scores.index(top)
        return Guess(KINDS[best], 1 / sum(odds))

    def reasons(self, tokens: Sequence[str], error_type: ErrorType) -> tuple[str, ...]:
        """The words that speak most for a class, three at the most."""
        at = KINDS.index(error_type)
        said = [(row[at], token) for token in tokens if (row := self._weights.get(token))]
        said.sort(reverse=True)
        return tuple(token.partition(":")[2] for weight, token in said[:3] if weight > 0)


@cache
def shipped_model() -> Model:
    """The model that comes with the package, read when first asked for."""
    text = Path(__file__).with_name("learned.json").read_text(encoding="utf-8")
    content = json.loads(text)
    weights = {
        token: tuple(number / SCALE for number in row) for token, row in content["weights"].items()
    }
    return Model([number / SCALE for number in content["bias"]], weights)


def tokens_of(exc: BaseException) -> list[str]:
    """What the model reads of an exception: words of its types, its message and its attributes."""
    found = dict.fromkeys(_tokens(exc, ""))
    inner = (*members(exc), *behind(exc))
    for each in inner[:_MOST_BEHIND]:
        found.update(dict.fromkeys(_tokens(each, "behind ")))
    return list(found)


def _tokens(exc: BaseException, where: str) -> Iterator[str]:
    for token in _type_tokens(type(exc)):
        yield where + token
    text = own_words(text_of(exc))[:_LONGEST_TEXT]
    before = ""
    for number, word in enumerate(_WORD.findall(text)):
        if number == _MOST_WORDS:
            break
        yield f"{where}word:{word}"
        if before:
            yield f"{where}pair:{before} {word}"
        before = word
    for name in _ATTRIBUTES:
        value = read(exc, name)
        if isinstance(value, str | int) and not isinstance(value, bool):
            yield f"{where}{name}:{value}"[:60].lower()


_TYPE_TOKENS: dict[type, tuple[str, ...]] = {}
_MOST_CLASSES = 4096


def _type_tokens(cls: type) -> tuple[str, ...]:
    known = _TYPE_TOKENS.get(cls)
    if known is None:
        if (
            len(_TYPE_TOKENS) > _MOST_CLASSES
        ):  # clients that make a class a call must not fill memory
            _TYPE_TOKENS.clear()
        found: dict[str, None] = {}
        for base in cls.__mro__[:6]:
            words = [word.lower() for word in _CAMEL.findall(base.__name__)]
            words = [word for word in words if word not in _PLAIN]
            found.update(dict.fromkeys(f"name:{word}" for word in words))
            found.update((f"names:{one} {two}", None) for one, two in pairwise(words))
        known = _TYPE_TOKENS[cls] = tuple(found)
    return known
