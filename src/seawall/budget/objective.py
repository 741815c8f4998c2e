"""What is aimed at, pipeline by pipeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from seawall.budget.rule import BurnRule, default_rules
from seawall.errors import InvalidConfigError


def check_objective(name: str, value: object) -> float:
    """The objective that ``value`` is.

    Raises:
        InvalidConfigError: it is none; ``name`` is the option's.
    """
    if not isinstance(value, float) or not 0 < value < 1:
        raise InvalidConfigError(
            f"{name}={value!r}: must be a share above 0 and below 1, as 0.99 for 99 %"
        )
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """What the configuration says of objectives and rules.

    Attributes:
        default: share of good ones, where nothing else is said.
        by_pipeline: of single pipelines.
        rules: alert rules; None for the defaults.

    Raises:
        InvalidConfigError: an objective is none, or a rule can't fire for one.
    """

    default: float = 0.99
    by_pipeline: Mapping[str, float] | None = None
    rules: Sequence[BurnRule] | None = None

    def __post_init__(self) -> None:
        self.check("budget_objective", self.default)
        for pipeline_id, objective in (self.by_pipeline or {}).items():
            self.check(f"budget_objectives[{pipeline_id!r}]", objective)

    def check(self, name: str, value: object) -> float:
        """The objective that ``value`` is, one that all rules can fire for.

        Raises:
            InvalidConfigError: it isn't.
        """
        objective = check_objective(name, value)
        for rule in self.rules or ():
            rule.check_objective(objective)
        return objective

    def of(self, pipeline_id: str, stored: float | None) -> float:
        """What a pipeline aims at: as was set by a call, else as is configured."""
        if stored is not None:
            return stored
        return (self.by_pipeline or {}).get(pipeline_id, self.default)

    def rules_for(self, objective: float) -> Sequence[BurnRule]:
        """The rules to judge by; as many, in the same windows, for every objective."""
        return default_rules(objective) if self.rules is None else self.rules
