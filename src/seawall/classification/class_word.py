"""What the words of a type's own name suggest, for libraries that no table knows."""

import re

from seawall.classification.error_type import ErrorType

# In this order: ``ConnectionConfigurationError`` is a configuration error.
_WORDS: tuple[tuple[ErrorType, re.Pattern[str]], ...] = (
    (
        ErrorType.CONFIGURATION,
        re.compile(
            r"Auth|Credential|Permission|Forbidden|AccessDenied|Configur|Config(?:Error|Exception)"
            r"|Certificate|SSL|Unsupported|NotSupported|NoSuch(?:Table|Database|Bucket)|Settings"
        ),
    ),
    (ErrorType.SYSTEM, re.compile(r"OutOfMemory|OutOfDisk|DiskFull|Corrupt(?!Record)|StorageFull")),
    (
        ErrorType.DATA,
        re.compile(
            r"Validation|Pars(?:e|er|ing)(?=Error|Exception|$)|Deserializ|Decod(?:e|ing)|Encod(?:e|ing)"
            r"|Integrity|Duplicate|Malformed|Schema|Truncat|Invalid(?:Data|Value|Document|Record|Format)"
            r"|DataError|BadRequest|Conversion"
        ),
    ),
    (
        ErrorType.TRANSIENT,
        re.compile(
            r"Timeout|TimedOut|Throttl|RateLimit|TooManyRequests|Unavailable|Temporar|Transient"
            r"|Deadlock|Disconnect|ConnectionLost|ConnectionClosed|ConnectionReset|Retryable"
            r"|Connection(?:Error|Failure|Exception)|Connect(?:Error|Exception)|Busy|NotPrimary"
        ),
    ),
)


def by_class_words(name: str) -> ErrorType | None:
    """The class that a type's unqualified name suggests, or None."""
    for error_type, words in _WORDS:
        if words.search(name):
            return error_type
    return None
