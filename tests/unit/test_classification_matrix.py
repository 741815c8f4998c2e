"""The decision matrix of the contract."""

import pytest

from seawall.classification import ErrorType, most_retries, should_retry


@pytest.mark.parametrize(
    ("error_type", "max_retries", "most"),
    [
        (ErrorType.TRANSIENT, 3, 3),
        (ErrorType.TRANSIENT, 100, 100),
        (ErrorType.CONFIGURATION, 3, 0),
        (ErrorType.DATA, 3, 0),
        (ErrorType.SYSTEM, 3, 2),
        (ErrorType.SYSTEM, 1, 1),
        (ErrorType.UNKNOWN, 5, 5),
        (ErrorType.TRANSIENT, 0, 0),
    ],
)
def test_matrix_gives_the_most_retries_of_each_type(error_type, max_retries, most):
    assert most_retries(error_type, max_retries) == most
    assert should_retry(error_type, most, max_retries) is False
    if most:
        assert should_retry(error_type, most - 1, max_retries) is True


def test_matrix_without_max_retries_takes_the_default_of_three():
    assert should_retry(ErrorType.UNKNOWN, 2)
    assert not should_retry(ErrorType.UNKNOWN, 3)


def test_error_type_is_its_lower_case_word():
    assert [str(each) for each in ErrorType] == [
        "transient",
        "configuration",
        "data",
        "system",
        "unknown",
    ]
