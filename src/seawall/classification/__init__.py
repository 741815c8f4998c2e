"""What kind of failure an exception is, and whether a retry can help.

Pure: no I/O, no event loop, and no client library is imported; exceptions are known by qualified
type name and by duck typing. The layers, in order; the first that answers decides:

1. ``rule``: the user's own rules;
2. ``code``: SQLSTATE, errno, HTTP status, gRPC status and vendor codes;
3. ``type``: the qualified type name, nearest in the MRO;
4. ``group`` and ``cause``: members of a group, then what the exception was raised from;
5. ``message``: phrases in the text;
6. ``presumed``: what a broad type (``ValueError``) or the words of a type's name suggest.
"""

from seawall.classification.classifier import Classifier, Rule, default_classifier
from seawall.classification.error_type import ErrorType, most_retries, should_retry
from seawall.classification.explanation import Explanation, Layer
from seawall.classification.retry_after import retry_after
from seawall.classification.throttling import is_throttled

__all__ = [
    "Classifier",
    "ErrorType",
    "Explanation",
    "Layer",
    "Rule",
    "default_classifier",
    "is_throttled",
    "most_retries",
    "retry_after",
    "should_retry",
]
