"""Errors written down: one row for each exception object, its pattern named, whoever asks told."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from seawall.classification import Classifier, ErrorType
from seawall.classification.reading import LONGEST_TEXT, qualified_name, text_of
from seawall.error_details import ErrorDescriber
from seawall.events import ErrorLogged, EventBus
from seawall.marks import logged_as, put_logged, was_told
from seawall.masking import Masker
from seawall.recorder import Recorder
from seawall.scope import Scope
from seawall.stack import lone_member, speaks, stack_fingerprint
from seawall.stack_text import message_of
from seawall.text import recordable


class ErrorLog:
    """Writes rows of ``error_details``; may be shared between tasks.

    Args:
        recorder: commits them.
        bus: is told of each.
        classifier: gives the recovery class.
        masker: hides secrets.
        identify: the pattern of a masked message, of its recovery class and its stack.
        health: the machine at this moment, as JSON; asked for where the error is the system's.
        token: names this worker in the marks on exceptions.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        bus: EventBus,
        classifier: Classifier,
        masker: Masker,
        identify: Callable[[str, str, str | None], str],
        health: Callable[[BaseException], Awaitable[str | None]],
        token: str,
    ) -> None:
        self._describer = ErrorDescriber(classifier, masker)
        self._recorder, self._bus, self._classifier = recorder, bus, classifier
        self._masker, self._identify, self._token = masker, identify, token
        self._health = health

    async def log(
        self,
        error: BaseException,
        scope: Scope,
        context: Mapping[str, Any] | None = None,
        *,
        operation: str | None = None,
        attempt: int | None = None,
    ) -> UUID:
        """The id of the error's row, committed; an object that has one gets no second.

        Raises whatever the recorder does.
        """
        logged: UUID | None = logged_as(error, self._token)
        if logged is not None:
            return logged
        lone = lone_member(error)
        error_type = self._classifier.classify(error).value
        text = message_of(lone)
        whole = recordable(text, self._masker)
        # As retries tell it: a long one is cut before its secrets are masked.
        short = len(text) <= LONGEST_TEXT
        message = whole if short else recordable(text_of(lone), self._masker)
        stack = None if speaks(message) else stack_fingerprint(lone)
        pattern_id = self._identify(message, error_type, stack)
        is_system = error_type == ErrorType.SYSTEM.value
        health = await self._health(error) if is_system else None
        described = self._describer.describe(
            error,
            scope,
            context,
            operation=operation,
            attempt=attempt,
            error_type=error_type,
            message=whole if lone is error else None,
            pattern_id=pattern_id,
            health=health,
        )
        await self._recorder.put([("error_details", described.row)])
        put_logged(error, self._token, described.error_id)
        if self._bus.listeners:
            self._bus.emit(
                ErrorLogged(
                    scope=scope,
                    error_id=described.error_id,
                    error_type=error_type,
                    exception_type=qualified_name(type(lone)),
                    message=message,
                    stack=stack,
                    fingerprint=described.fingerprint,
                    operation=operation,
                    pattern_id=pattern_id,
                    counted=was_told(error, self._bus.token),
                )
            )
        return described.error_id
