"""A message read: its constant words in order, and the values between them."""

import re
from dataclasses import dataclass

from seawall.patterns.rules import MARK, NUMBERS, PIECES, RULES

# A token that no message can hold, since "<" and ">" are tokens by themselves.
VARIABLE = "<*>"
LONGEST_MESSAGE = 4096  # characters that are looked at
_MOST_TOKENS = 128
_LONGEST_TOKEN = 128
_LONGEST_VALUE = 64
_BRACKETS = frozenset("()[]{}\"'")


@dataclass(frozen=True, slots=True)
class Reading:
    """What one message consists of.

    Attributes:
        tokens: constant words and punctuation, ``VARIABLE`` for each value.
        values: the text of each ``VARIABLE``, in order.
        spaced: a bit for each token, the lowest for the first, set where a space stands before it.
            Messages that differ in this only have one template.
    """

    tokens: tuple[str, ...]
    values: tuple[str, ...]
    spaced: int = 0

    def values_for(self, template: tuple[str, ...]) -> list[str]:
        """The text at each variable of a template that covers this message."""
        values = iter(self.values)
        found = []
        for token, wanted in zip(self.tokens, template, strict=True):
            text = next(values) if token == VARIABLE else token
            if wanted == VARIABLE:
                found.append(text)
        return found


def shortened(message: str) -> str:
    """As much of the message as is looked at."""
    if len(message) > LONGEST_MESSAGE:
        message = message[:LONGEST_MESSAGE]
    return message.replace(MARK, " ") if MARK in message else message


def read_message(message: str) -> Reading:
    """Read a message that has been ``shortened``."""
    values: list[str] = NUMBERS.findall(message)
    text = NUMBERS.sub(MARK, message)
    for needed, rule in RULES:
        if needed in text:
            text, values = _hide(rule, text, values)
    return _tokens(text, values)


def says_nothing(tokens: tuple[str, ...]) -> bool:
    """Whether there is no word among the constant tokens."""
    return not any(is_word(token) for token in tokens)


def is_word(token: str) -> bool:
    """Whether the token is constant and more than punctuation."""
    return token != VARIABLE and (token.isalnum() or any(map(str.isalnum, token)))


def render(tokens: tuple[str, ...], spaced: int) -> str:
    """The template as text."""
    return "".join(
        f" {token}" if position and spaced >> position & 1 else token
        for position, token in enumerate(tokens)
    )


def _hide(rule: re.Pattern[str], text: str, values: list[str]) -> tuple[str, list[str]]:
    out: list[str] = []
    kept: list[str] = []
    end = used = 0
    for match in rule.finditer(text):
        start, stop = match.span(rule.groups)
        between = text.count(MARK, end, start)
        kept += values[used : used + between]
        used += between
        inside = text.count(MARK, start, stop)
        kept.append(_filled(text[start:stop], values[used : used + inside]))
        used += inside
        out += (text[end:start], MARK)
        end = stop
    if not end:
        return text, values
    return "".join(out) + text[end:], kept + values[used:]


def _filled(text: str, values: list[str]) -> str:
    """The text with its marks replaced by what they stand for."""
    if not values:
        return text
    pieces = text.split(MARK)
    return pieces[0] + "".join(
        value + piece for value, piece in zip(values, pieces[1:], strict=True)
    )


def _tokens(text: str, values: list[str]) -> Reading:
    tokens: list[str] = []
    texts: list[str] = []
    used = spaced = 0
    after_space = False
    for piece in PIECES.split(text):
        if not piece or piece.isspace():
            after_space = after_space or bool(piece)
            continue
        if after_space:
            spaced |= 1 << len(tokens)
            after_space = False
        marks = piece.count(MARK)
        if not marks:
            tokens.append(piece[:_LONGEST_TOKEN])
            continue
        value = _filled(piece, values[used : used + marks])[:_LONGEST_VALUE]
        used += marks
        if len(tokens) > 1 and tokens[-2] == VARIABLE and _joins(tokens[-1]):
            value = f"{texts.pop()}{tokens.pop()}{value}"
        elif tokens and tokens[-1] == VARIABLE:
            value = f"{texts.pop()} {value}"
        else:
            tokens.append(VARIABLE)
        texts.append(value[:_LONGEST_VALUE])
    kept = tuple(tokens[:_MOST_TOKENS])
    spaced &= (1 << len(kept)) - 1
    return Reading(kept, tuple(texts[: kept.count(VARIABLE)]), spaced)


def _joins(token: str) -> bool:
    """Whether values on both sides of the token are one list of values."""
    return token not in _BRACKETS and not is_word(token) and token != VARIABLE
