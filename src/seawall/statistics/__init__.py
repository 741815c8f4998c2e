"""Statistics in plain Python: intervals, tests, trends and change detection. Pure; no numpy."""

from seawall.statistics.association import (
    Association,
    Table,
    associate,
    chi_square,
    fisher_exact,
    holm,
)
from seawall.statistics.cusum import BinomialCusum, Change, find_changes
from seawall.statistics.proportion import (
    Interval,
    Side,
    binomial_at_least,
    binomial_at_most,
    binomial_test,
    exact_interval,
    wilson_interval,
)
from seawall.statistics.seasonality import GroupRate, Seasonality, seasonality
from seawall.statistics.spacing import mean_interval
from seawall.statistics.trend import MannKendall, TheilSen, mann_kendall, theil_sen

__all__ = [
    "Association",
    "BinomialCusum",
    "Change",
    "GroupRate",
    "Interval",
    "MannKendall",
    "Seasonality",
    "Side",
    "Table",
    "TheilSen",
    "associate",
    "binomial_at_least",
    "binomial_at_most",
    "binomial_test",
    "chi_square",
    "exact_interval",
    "find_changes",
    "fisher_exact",
    "holm",
    "mann_kendall",
    "mean_interval",
    "seasonality",
    "theil_sen",
    "wilson_interval",
]
