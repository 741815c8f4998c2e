"""Distribution functions and their inverses, to about ten digits."""

import math
from collections.abc import Callable
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300
_PRECISION = 1e-15
_MOST_STEPS = 100_000


def normal_quantile(probability: float) -> float:
    """The value below which a standard normal variable falls with that probability."""
    return _NORMAL.inv_cdf(probability)


def normal_two_sided(z: float) -> float:
    """How likely a standard normal variable is at least so far from 0, on either side."""
    return math.erfc(abs(z) / math.sqrt(2))


def normal_above(z: float) -> float:
    """How likely a standard normal variable is above ``z``; precise far out too."""
    return 0.5 * math.erfc(z / math.sqrt(2))


def beta_below(x: float, a: float, b: float) -> float:
    """The distribution function of Beta(a, b): the regularised incomplete beta function.

    By its continued fraction, evaluated with Lentz's method.
    """
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The fraction converges quickly on one side of the mean only.
    if x < (a + 1) / (a + b + 2):
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    c = 1.0
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, _MOST_STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away_from_zero(1 + term * d)
            c = _away_from_zero(1 + term / c)
            result *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return result


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def gamma_below(a: float, x: float) -> float:
    """The distribution function of Gamma(a, 1): the regularised lower incomplete gamma function."""
    return 0.0 if x <= 0 else _gamma_series(a, x) if x < a + 1 else 1 - _gamma_fraction(a, x)


def gamma_above(a: float, x: float) -> float:
    """The upper tail of Gamma(a, 1); precise far out too."""
    return 1.0 if x <= 0 else 1 - _gamma_series(a, x) if x < a + 1 else _gamma_fraction(a, x)


def _gamma_series(a: float, x: float) -> float:
    term = total = 1 / a
    for n in range(1, _MOST_STEPS):
        term *= x / (a + n)
        total += term
        if term < total * _PRECISION:
            break
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))


def _gamma_fraction(a: float, x: float) -> float:
    b = x + 1 - a
    c = 1 / _TINY
    d = 1 / b
    result = d
    for n in range(1, _MOST_STEPS):
        term = -n * (n - a)
        b += 2
        d = 1 / _away_from_zero(b + term * d)
        c = _away_from_zero(b + term / c)
        result *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return result * math.exp(a * math.log(x) - x - math.lgamma(a))


def chi_square_above(x: float, degrees: float) -> float:
    """The upper tail of a chi-square variable."""
    return gamma_above(degrees / 2, x / 2)


def chi_square_quantile(probability: float, degrees: float) -> float:
    """The value below which a chi-square variable falls with that probability."""
    high = max(1.0, degrees)
    while gamma_below(degrees / 2, high / 2) < probability:
        high *= 2
    return _inverse(lambda x: gamma_below(degrees / 2, x / 2), probability, high)


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The value below which a Beta(a, b) variable falls with that probability."""
    return _inverse(lambda x: beta_below(x, a, b), probability, 1.0)


def f_above(x: float, above: float, below: float) -> float:
    """The upper tail of an F variable with ``above`` and ``below`` degrees of freedom."""
    return beta_below(below / (below + above * x), below / 2, above / 2) if x > 0 else 1.0


def _inverse(function: Callable[[float], float], wanted: float, high: float) -> float:
    """Where a rising function passes a value, between 0 and ``high``: by halving."""
    low = 0.0
    while True:
        middle = (low + high) / 2
        if middle in (low, high) or high - low <= 1e-14 * high:
            return middle
        if function(middle) < wanted:
            low = middle
        else:
            high = middle
