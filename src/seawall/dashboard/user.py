"""Who looks, and what they may do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request

from seawall.errors import InvalidConfigError


class Role(StrEnum):
    """A VIEWER sees what the database's reader role sees; an OPERATOR also payloads, and acts."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class User:
    """One who is signed in.

    Attributes:
        name: stands in the audit log beside what they do.
        role: what they may do.

    Raises:
        InvalidConfigError: the name is empty, or there is no such role.
    """

    name: str
    role: Role | str = Role.VIEWER

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidConfigError(f"name={self.name!r}: must say who it is, for the audit log")
        try:
            object.__setattr__(self, "role", Role(self.role))
        except ValueError:
            known = " or ".join(Role)
            raise InvalidConfigError(f"role={self.role!r}: must be {known}") from None

    @property
    def may_act(self) -> bool:
        """Whether they see payloads and change things."""
        return self.role is Role.OPERATOR


Authenticate = Callable[[Request], Awaitable[User | None]]
