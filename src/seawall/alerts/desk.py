"""The fleet's alerts: events come in, each thing that is wrong is told once."""

import logging
from collections.abc import Sequence

import anyio

from seawall.alerts.alert import Notification, Signal, Told
from seawall.alerts.receiver import Receiver, Receivers
from seawall.alerts.rule import RULES, Rule, quarantine_growth
from seawall.alerts.store import AlertStore
from seawall.events import Event
from seawall.masking import Masker, default_masker
from seawall.service import Periodic
from seawall.text import recordable

_logger = logging.getLogger("seawall.alerts")

_MOST_WAITING = 10_000
_MOST_ATTEMPTS = 20
_FIRST_WAIT = 5.0
_LONGEST_WAIT = 900.0
_SEND_SECONDS = 30.0
_FLUSH_SECONDS = 1.0
_LAST_SECONDS = 5.0
# Records of today, and how many times the usual: a few bad rows are every day's.
_GROWTH_LEAST = 100
_GROWTH_FACTOR = 3.0


class AlertDesk:
    """Hears events, keeps alerts in the store, and delivers what is due.

    Each worker hears its own events and adds them to the store (``flush``). Deciding who is told
    (``plan``) and telling them (``deliver``) is for one worker at a time, whichever it is: what is
    due is taken under a lease, so that it is sent at least once, and by one. Belongs to one event
    loop.

    Args:
        store: where alerts are.
        owner: this worker.
        receivers: who is told; the same on every worker.
        group_seconds: how long what began is kept, so that what follows is told with it.
        repeat_seconds: after which time receivers are told again of what still fires.
        masker: finds secrets.

    Attributes:
        dropped: signals that weren't kept, because 10,000 kinds waited for the database.
    """

    def __init__(
        self,
        store: AlertStore,
        owner: str,
        receivers: Receivers,
        *,
        group_seconds: float = 5.0,
        repeat_seconds: float = 4 * 3600.0,
        masker: Masker = default_masker,
    ) -> None:
        self.store, self._owner, self._masker = store, owner, masker
        self._group_seconds, self._repeat_seconds = group_seconds, repeat_seconds
        self._rules: dict[type[Event], Rule] = dict(RULES)
        self._receivers = receivers
        self._flushing = Periodic(self.flush, every=_FLUSH_SECONDS, name="alerts")
        self._waiting: list[tuple[Signal, int]] = []
        self._latest: dict[str, int] = {}
        self.dropped = 0

    def hear(self, event: Event) -> None:
        """The listener."""
        rule = self._rules.get(type(event))
        if rule is not None and (signal := rule(event)) is not None:
            self.signal(signal)

    def signal(self, signal: Signal) -> None:
        """Take in what a rule, or the user's own code, found."""
        self._keep(signal, 1)

    def _keep(self, signal: Signal, count: int) -> None:
        place = self._latest.get(signal.key)
        if place is not None and self._waiting[place][0].firing == signal.firing:
            # A storm of one thing is one entry with a count.
            self._waiting[place] = (signal, self._waiting[place][1] + count)
        elif len(self._waiting) >= _MOST_WAITING:
            self.dropped += count
        else:
            self._latest[signal.key] = len(self._waiting)
            self._waiting.append((signal, count))

    async def flush(self) -> None:
        """Add what was heard to the store; nothing is lost where that fails."""
        waiting, self._waiting, self._latest = self._waiting, [], {}
        if not waiting:
            return
        try:
            await self.store.record([(self._masked(signal), count) for signal, count in waiting])
        except BaseException:
            later, self._waiting = self._waiting, waiting
            self._latest = {signal.key: place for place, (signal, _) in enumerate(waiting)}
            for signal, count in later:
                self._keep(signal, count)
            raise

    async def start(self) -> None:
        await self._flushing.start()

    async def aclose(self) -> None:
        """Add the last signals and tell of them: this worker may have been the only one."""
        await self._flushing.aclose()
        try:
            with anyio.move_on_after(_LAST_SECONDS):
                await self.deliver(group_seconds=0.0)
        except Exception as error:
            # What was not sent is kept, for the next worker.
            _logger.warning("the last alerts were not delivered: %s", error)

    async def deliver(self, *, group_seconds: float | None = None) -> None:
        """Decide who is to be told, and tell them; what fails is due again later."""
        wait = self._group_seconds if group_seconds is None else group_seconds
        await self.store.plan(
            self._receivers.least(), group_seconds=wait, repeat_seconds=self._repeat_seconds
        )
        ahead = self._group_seconds - wait
        for receiver in self._receivers:
            due = await self.store.take(receiver.name, self._owner, 2 * _SEND_SECONDS, ahead)
            for notification in _grouped(due):
                await self._send(receiver, notification)

    async def watch_quarantine(self) -> None:
        """Signal the quarantines that grow."""
        for growth in await self.store.growing(_GROWTH_LEAST, _GROWTH_FACTOR):
            self.signal(quarantine_growth(growth))
        await self.flush()

    async def _send(self, receiver: Receiver, notification: Notification) -> None:
        ids = [each.notification_id for each in notification.told]
        attempts = max(each.attempts for each in notification.told)
        try:
            with anyio.fail_after(_SEND_SECONDS):
                await receiver.send(notification)
        except Exception as error:
            text = recordable(f"{type(error).__name__}: {error}", self._masker)
            _logger.warning("alert receiver %s: %s", receiver.name, text)
            wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempts - 1))
            await self.store.failed(
                self._owner, ids, text, wait, give_up=attempts >= _MOST_ATTEMPTS
            )
        else:
            await self.store.sent(self._owner, ids)

    def _masked(self, signal: Signal) -> Signal:
        return Signal(
            key=recordable(signal.key, self._masker),
            rule=recordable(signal.rule, self._masker),
            firing=signal.firing,
            severity=signal.severity,
            title=recordable(signal.title, self._masker),
            message=recordable(signal.message, self._masker),
            pipeline_id=signal.pipeline_id,
            labels={
                recordable(str(name)): recordable(str(value), self._masker)
                for name, value in signal.labels.items()
            },
            sequence=signal.sequence,
            quiet_seconds=signal.quiet_seconds,
        )


def _grouped(due: Sequence[Told]) -> list[Notification]:
    """What belongs together: the same kind of news of one rule and pipeline."""
    groups: dict[tuple[str, str, str | None], list[Told]] = {}
    for told in due:
        key = (told.kind, told.alert.rule, told.alert.pipeline_id)
        groups.setdefault(key, []).append(told)
    return [Notification(told=group) for group in groups.values()]
