"""Sentry's events are grouped by our patterns."""

import pytest

sentry_sdk = pytest.importorskip("sentry_sdk")

from seawall.integrations.sentry import before_send  # noqa: E402


class Kept(sentry_sdk.transport.Transport):
    def __init__(self):
        super().__init__()
        self.events = []

    def capture_envelope(self, envelope):
        self.events.append(envelope.get_event())


def test_sentry_events_of_one_pattern_have_one_fingerprint():
    kept = Kept()
    with sentry_sdk.new_scope() as scope:
        client = sentry_sdk.Client(
            dsn="http://key@localhost/1", transport=kept, before_send=before_send(),
            default_integrations=False,
        )  # fmt: skip
        scope.set_client(client)
        for error in (TimeoutError("order 17 timed out"), TimeoutError("order 4711 timed out"),
                      ValueError("bad total in order 17")):  # fmt: skip
            try:
                raise error
            except Exception as caught:
                scope.capture_exception(caught)
        scope.capture_message("no exception")
    first, second, third, message = kept.events
    assert first["fingerprint"] == second["fingerprint"] != third["fingerprint"]
    assert first["tags"]["seawall.error_type"] == "transient"
    assert "fingerprint" not in message
