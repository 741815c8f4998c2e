"""Records checked by a pydantic model: those that fail are quarantined with every reason."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from seawall.errors import InvalidRecordError


def validated(model: type[BaseModel], *, dump: bool = True) -> Callable[[Any], Any]:
    """A ``transform`` that lets a model check each record.

    A record that it refuses is quarantined as it came; the reasons name the fields, in the model's
    words, and the value of a field is not in the first one, so that equal faults are counted
    together.

    Args:
        model: the model.
        dump: give the sink the model's fields as a dict; False: the model itself.

    Raises (in the transform):
        InvalidRecordError: the record isn't the model's.
    """

    def transform(record: Any) -> Any:
        try:
            found = model.model_validate(record)
        except ValidationError as error:
            raise invalid(error) from error
        return found.model_dump() if dump else found

    return transform


def invalid(error: ValidationError) -> InvalidRecordError:
    """What a ValidationError says, a reason for each fault."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    reasons = [f"{_place(fault['loc'])}: {fault['msg']}" for fault in faults]
    first = faults[0]["loc"]
    return InvalidRecordError(*reasons, column=str(first[0]) if first else None)


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "record"
