"""Who a request comes from, and whether its form came from our own page.

A session is a signed cookie, so that any process with the same tokens knows it; it ends after
twelve hours, or when its token is taken away.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request

from seawall.clock import utc_now
from seawall.dashboard.user import Authenticate, User
from seawall.errors import InvalidConfigError

SESSION, FORM_KEY = "seawall_session", "seawall_form"
SESSION_SECONDS = 12 * 3600
_SHORTEST_TOKEN = 20


class Access:
    """Knows users by their tokens, or by a function of the application around it.

    Args:
        tokens: users by token; at least 20 characters each.
        authenticate: who sent a request; None: nobody that may look.
        secret: signs forms, where users come from ``authenticate`` and several processes serve the
            same page.

    Raises:
        InvalidConfigError: neither of the first two is given, or both; a token is short; two users
            have the same name.
    """

    def __init__(
        self,
        tokens: Mapping[str, User] | None,
        authenticate: Authenticate | None,
        secret: str | None,
    ) -> None:
        if (not tokens) == (authenticate is None):
            raise InvalidConfigError(
                "tokens, authenticate: must be one of them, or nobody could sign in: tokens={a "
                "token: User(name, role)}, or an async function of the request"
            )
        for token, user in (tokens or {}).items():
            if len(token) < _SHORTEST_TOKEN:
                raise InvalidConfigError(
                    f"the token of {user.name!r}: must have at least {_SHORTEST_TOKEN} characters, "
                    "as secrets.token_urlsafe() makes them"
                )
        self._tokens = {_digest(token): user for token, user in (tokens or {}).items()}
        self._keys = {user.name: digest for digest, user in self._tokens.items()}
        if len(self._keys) < len(self._tokens):
            raise InvalidConfigError("tokens: must be for users of different names")
        self._authenticate = authenticate
        seed = secret.encode() if secret else b"".join(sorted(self._tokens))
        self._form_key = _digest(seed) if seed else secrets.token_bytes(32)

    @property
    def by_token(self) -> bool:
        """Whether there is a page to sign in."""
        return self._authenticate is None

    def user_by_token(self, token: str) -> User | None:
        """Whose token it is."""
        given = _digest(token)
        found = None
        for digest, user in self._tokens.items():  # all of them, whichever it is
            if hmac.compare_digest(digest, given):
                found = user
        return found

    def session(self, user: User) -> str:
        """A cookie for one who has signed in."""
        until = int(utc_now().timestamp()) + SESSION_SECONDS
        text = msgspec.json.encode([user.name, until, secrets.token_hex(8)])
        signature = _sign(self._keys[user.name], b"session", text)
        return f"{_text_of(text)}.{_text_of(signature)}"

    async def user_of(self, request: Request) -> User | None:
        """Who sent the request."""
        if self._authenticate is not None:
            return await self._authenticate(request)
        return self._user_of_session(request.cookies.get(SESSION, ""))

    def _user_of_session(self, cookie: str) -> User | None:
        head, _, tail = cookie.partition(".")
        try:
            text, signature = _bytes_of(head), _bytes_of(tail)
            name, until, _ = msgspec.json.decode(text, type=tuple[str, int, str])
        except (ValueError, binascii.Error, msgspec.MsgspecError):
            return None
        key = self._keys.get(name)
        if key is None or not hmac.compare_digest(_sign(key, b"session", text), signature):
            return None
        return self._tokens[key] if utc_now().timestamp() < until else None

    @staticmethod
    def new_cookie() -> str:
        """A browser's own secret, that its forms are bound to."""
        return secrets.token_urlsafe(32)

    def form_token(self, cookie: str, user: User) -> str:
        """What a form must send back: bound to the browser's cookie and to the user."""
        return _text_of(_sign(self._form_key, b"form", f"{cookie}\n{user.name}".encode()))

    def is_own_form(self, request: Request, form: Mapping[str, Any], user: User) -> bool:
        """Whether a form came from a page of ours, that this user was shown."""
        cookie = request.cookies.get(FORM_KEY, "")
        sent = str(form.get("form_token", ""))
        right = self.form_token(cookie, user)
        return bool(cookie) and hmac.compare_digest(right.encode(), sent.encode())


def is_same_origin(request: Request) -> bool:
    """Whether the browser says that a page of ours sent this; no browser says nothing."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def _digest(value: str | bytes) -> bytes:
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).digest()


def _sign(key: bytes, purpose: bytes, text: bytes) -> bytes:
    return hmac.digest(key, purpose + b"\0" + text, "sha256")


def _text_of(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def _bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
