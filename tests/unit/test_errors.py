import contextlib
import pickle
from uuid import UUID

import pytest

from seawall import errors

ARGUMENTS = {
    errors.CircuitOpenError: ("billing", 2.5),
    errors.RateLimitedError: ("billing", 2.5),
    errors.RetryBudgetExhaustedError: ("billing", None),
    errors.ErrorBudgetExhaustedError: ("billing", "runs", 3, 10, 0.99, 30.0),
    errors.ParkedError: ("send", UUID(int=7), 60.0),
    errors.QuarantineKeyError: ("no key", "2026"),
    errors.MissingProcessorError: ("no processor", {"load": 3}, None),
    errors.RecordRefusedError: ("refused", "23505"),
    errors.PayloadTooLargeError: ("too large", 5, 4),
    errors.TooManyBadRecordsError: ("too many", 5, 10, 0.1),
}


def instances():
    for name in dir(errors):
        kind = getattr(errors, name)
        if isinstance(kind, type) and issubclass(kind, errors.SeawallError):
            yield kind(*ARGUMENTS.get(kind, ("what happened",)))


@pytest.mark.parametrize("error", list(instances()), ids=lambda error: type(error).__name__)
def test_error_pickles_takes_notes_and_passes_through_context_managers(error):
    error.add_note("a note")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    for name in (
        "service_name",
        "retry_after",
        "bad_count",
        "read_count",
        "tolerance",
        "call_id",
        "key_id",
        "size",
        "limit",
        "steps",
        "metrics",
        "sqlstate",
        "pipeline_id",
        "objective",
    ):
        assert getattr(copy, name, None) == getattr(error, name, None)

    @contextlib.contextmanager
    def block():
        yield

    with pytest.raises(type(error)) as caught, block():
        raise error
    assert caught.value is error


def test_circuit_open_error_says_when_to_come_back():
    assert "next trial call in 2.500 s" in str(errors.CircuitOpenError("billing", 2.5))
    assert errors.CircuitOpenError("billing", None).retry_after is None
