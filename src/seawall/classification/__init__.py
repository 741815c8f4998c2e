"""What kind of failure an exception is, and whether a retry can help.

Pure: no I/O, no event loop, and no client library is imported; exceptions are known by qualified
type name and by duck typing. The layers, in order; the first that answers decides:

1. ``rule``: the user's own rules;
2. ``code``: SQLSTATE, errno, HTTP status, gRPC status and vendor codes;
3. ``type``: the qualified type name, nearest in the MRO;
4. ``group`` and ``cause``: members of a group, then what the exception was raised from;
5. ``message``: phrases in the text;
6. ``presumed``: what a broad type (``ValueError``) or the words of a type's name suggest;
7. ``outcome``: what retries of the operation have shown, where somebody gathers it;
8. ``learned``: a small model over the words of all this.
"""

from seawall.classification.classifier import Classifier, default_classifier
from seawall.classification.error_type import ErrorType, most_retries, should_retry
from seawall.classification.explanation import Explanation, Layer
from seawall.classification.fingerprint import Fingerprint
from seawall.classification.outcome import Outcome, Outcomes, Verdict
from seawall.classification.retry_after import retry_after
from seawall.classification.rule import Rule
from seawall.classification.throttling import is_throttled

__all__ = [
    "Classifier",
    "ErrorType",
    "Explanation",
    "Fingerprint",
    "Layer",
    "Outcome",
    "Outcomes",
    "Rule",
    "Verdict",
    "default_classifier",
    "is_throttled",
    "most_retries",
    "retry_after",
    "should_retry",
]
