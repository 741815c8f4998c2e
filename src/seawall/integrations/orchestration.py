"""What orchestrators ask of a failure: can running it again help, and was that not tried yet?"""

from seawall.classification import Classifier, ErrorType
from seawall.retry.exhaustion import is_exhausted

_LASTING = (ErrorType.CONFIGURATION, ErrorType.DATA)


def is_worth_a_rerun(error: BaseException, classifier: Classifier) -> bool:
    """Whether an orchestrator's own retry makes sense.

    Not where the failure lasts (a wrong password, bad data), nor where a retry of ours was used up
    on it: two layers would multiply.
    """
    if not isinstance(error, Exception) or is_exhausted(error, 0):
        return False
    return classifier.classify(error) not in _LASTING
