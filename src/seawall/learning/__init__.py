"""Learning from retries, at each site and without labels: what passes and what lasts.

The learner hears how retried calls ended, keeps counts with those of other workers, and gives them
to the classifier, whose ``outcome`` layer they are.
"""

from seawall.learning.learner import OutcomeLearner
from seawall.learning.store import Delta, OutcomeStore

__all__ = ["Delta", "OutcomeLearner", "OutcomeStore"]
