"""Distribution functions agree with scipy's."""

import pytest
from scipy import stats

from seawall.statistics import distribution

SHAPES = [(0.5, 0.5), (1, 1), (2, 30), (40, 3), (500, 9500), (3000, 2.5)]


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("x", [0.0, 1e-6, 0.02, 0.05, 0.5, 0.93, 1.0])
def test_beta_below_equals_scipys(a, b, x):
    assert distribution.beta_below(x, a, b) == pytest.approx(
        stats.beta.cdf(x, a, b), rel=1e-9, abs=1e-13
    )


@pytest.mark.parametrize(("a", "b"), SHAPES)
@pytest.mark.parametrize("probability", [0.001, 0.025, 0.5, 0.975])
def test_beta_quantile_equals_scipys(a, b, probability):
    assert distribution.beta_quantile(probability, a, b) == pytest.approx(
        stats.beta.ppf(probability, a, b), rel=1e-9
    )


@pytest.mark.parametrize("degrees", [1, 2, 7, 50, 2000])
@pytest.mark.parametrize("probability", [0.001, 0.025, 0.5, 0.975, 0.9999])
def test_chi_square_equals_scipys(degrees, probability):
    x = stats.chi2.ppf(probability, degrees)
    assert distribution.chi_square_quantile(probability, degrees) == pytest.approx(x, rel=1e-9)
    assert distribution.chi_square_above(x, degrees) == pytest.approx(1 - probability, rel=1e-9)


def test_chi_square_tail_is_precise_far_out():
    assert distribution.chi_square_above(300, 3) == pytest.approx(stats.chi2.sf(300, 3), rel=1e-9)


@pytest.mark.parametrize("x", [0.0, 0.3, 1, 4, 40])
def test_f_above_equals_scipys(x):
    assert distribution.f_above(x, 23, 600) == pytest.approx(
        stats.f.sf(x, 23, 600), rel=1e-8, abs=1e-280
    )


@pytest.mark.parametrize("z", [-3, 0, 1.96, 9])
def test_normal_equals_scipys(z):
    assert distribution.normal_above(z) == pytest.approx(stats.norm.sf(z), rel=1e-9)
    assert distribution.normal_two_sided(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-9)
    if z < 8:
        assert distribution.normal_quantile(stats.norm.cdf(z)) == pytest.approx(z, abs=1e-8)
