"""How many bad records a run bears before it stops."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from seawall.config import Range
from seawall.errors import InvalidConfigError, TooManyBadRecordsError

_SHARE = Range(float, 0, 1)
_COUNT = Range(int)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many of a step's records may be bad before it stops.

    Attributes:
        share: share (0 to 1) of the records read so far.
        allowance: a number that may be bad whatever their share.
        count: a number that they may never pass, or None.
        reasons: how many may be bad for a reason: by SQLSTATE, by the constraint's name, or by the
            start of the reason's text.

    Raises:
        InvalidConfigError: a value is out of range.
    """

    share: float = 1.0
    allowance: int = 0
    count: int | None = None
    reasons: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _SHARE.accepts(self.share):
            raise InvalidConfigError(f"tolerance={self.share!r}: must be a share from 0 to 1")
        _COUNT.check("tolerance allowance", self.allowance)
        if self.count is not None:
            _COUNT.check("tolerance count", self.count)
        for reason, most in self.reasons.items():
            if not reason:
                raise InvalidConfigError("tolerance reasons: '' would count every bad record")
            _COUNT.check(f"tolerance of {reason!r}", most)

    def check(self, bad: int, read: int, example: str) -> None:
        """Refuse ``bad`` of ``read`` records.

        Raises:
            TooManyBadRecordsError: they are more than is borne.
        """
        if self.count is not None and bad > self.count:
            raise self._passed(bad, read, f"the tolerated {self.count:,}", example)
        if bad > max(self.share * read, self.allowance):
            raise self._passed(bad, read, f"the tolerated {self.share:.1%}", example)

    def check_reason(self, reason: str, bad: int, read: int, example: str) -> None:
        """Refuse ``bad`` records that are so for ``reason``, a key of ``reasons``.

        Raises:
            TooManyBadRecordsError: they are more than is borne.
        """
        most = self.reasons[reason]
        if bad > most:
            raise self._passed(bad, read, f"the {most:,} tolerated for {reason!r}", example)

    def _passed(self, bad: int, read: int, than: str, example: str) -> TooManyBadRecordsError:
        return TooManyBadRecordsError(
            f"{bad:,} of {read:,} records are bad ({bad / read:.1%}), more than {than}; such as: "
            f"{example}. The position stays after the last committed batch: mend the source or "
            "the target, or raise the tolerance, and run it again",
            bad,
            read,
            self.share,
        )


def matches(key: str, reason: str, sqlstate: str | None, constraint: str | None) -> bool:
    """Whether a bad record counts for ``key`` of ``Tolerance.reasons``."""
    return key in (sqlstate, constraint) or reason.startswith(key)
