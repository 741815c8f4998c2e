"""Text on its way into a table."""

from seawall.masking import default_masker

_LIMIT = 16_384  # characters of a message or traceback


def storable(text: str) -> str:
    """The text as PostgreSQL can hold it: NUL and lone surrogates are written out."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def recordable(text: str) -> str:
    """A message as it may be recorded: secrets masked, of bounded length, storable."""
    return storable(default_masker.mask_text(text[:_LIMIT]))
