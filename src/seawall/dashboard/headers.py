"""What every answer tells the browser: run nothing that isn't ours, show this in no frame."""

from typing import Any

from starlette.datastructures import MutableHeaders

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers would then send no origin with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


ROOT = "seawall.root"


class SecureHeaders:
    """ASGI middleware; but for static files, no cache keeps an answer.

    Also keeps the path that the app is mounted at (``ROOT``), before routes add to it.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the headers set."""

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                is_static = "etag" in headers
                headers["Cache-Control"] = "no-cache" if is_static else "no-store"
            await send(message)

        scope[ROOT] = scope.get("root_path", "").rstrip("/")
        await self._app(scope, receive, sent)
