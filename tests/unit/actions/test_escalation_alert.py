"""What is left to a person reaches the receivers of alerts."""

from uuid import UUID

from seawall.alerts.rule import RULES
from seawall.events import RecoveryActionTaken
from seawall.scope import Scope


def taken(action):
    return RecoveryActionTaken(
        scope=Scope("flights"),
        action_id=UUID(int=1),
        action=action,
        outcome=None,
        automatic=False,
        error_type="system",
        operation="load",
        pattern_id=None,
        summary="10 automatic actions an hour are allowed",
    )


def test_escalation_is_a_signal_and_other_actions_are_none():
    signal = RULES[RecoveryActionTaken](taken("escalate"))
    assert (signal.rule, signal.pipeline_id, signal.firing) == ("escalated", "flights", True)
    assert signal.title == "flights needs a person"
    assert signal.message == "10 automatic actions an hour are allowed"
    assert RULES[RecoveryActionTaken](taken("resume")) is None
