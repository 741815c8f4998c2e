"""The ASGI app: who may have which page, and what each answer says to the browser."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote, unquote

import anyio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from seawall.clock import MACHINE_CLOCK
from seawall.dashboard import (
    alerts,
    breakers,
    budgets,
    desk,
    errors,
    overview,
    patterns,
    quarantine,
    runs,
)
from seawall.dashboard.access import FORM_KEY, SESSION, SESSION_SECONDS, Access, is_same_origin
from seawall.dashboard.asked import Asked, BadRequestError, Recent, form_of
from seawall.dashboard.headers import HEADERS, ROOT, SecureHeaders
from seawall.dashboard.live import Hub, TooManyPagesError
from seawall.dashboard.page import View, templates
from seawall.dashboard.user import Authenticate, User
from seawall.errors import DatabaseUnavailableError, NotStartedError, SeawallError
from seawall.manager import ErrorRecoveryManager
from seawall.postgres.lost import is_connection_lost

_logger = logging.getLogger("seawall.dashboard")

Look = Callable[[Asked], Awaitable[View]]
Act = Callable[[Asked], Awaitable[tuple[str, str]]]

_SAID = "seawall_said"
_PAGE_SECONDS = 15.0
_RECENT_SECONDS = 10.0  # workers write what analysis reads as often
_ACT_SECONDS = 300.0
_WRONG_TOKEN_SECONDS = 1.0

_PAGES: Mapping[str, Look] = {
    "/": overview.look,
    "/runs": runs.look,
    "/run": runs.look_at_one,
    "/errors": errors.look,
    "/error": errors.look_at_one,
    "/patterns": patterns.look,
    "/pattern": patterns.look_at_one,
    "/pipelines": budgets.look,
    "/pipeline": budgets.look_at_one,
    "/quarantine": quarantine.look,
    "/record": quarantine.look_at_one,
    "/breakers": breakers.look,
    "/breaker": breakers.look_at_one,
    "/alerts": alerts.look,
    "/workers": desk.look_at_workers,
    "/audit": desk.look_at_audit,
}
# For operators only, as all that is posted.
_OPERATORS_PAGES: Mapping[str, Look] = {"/record/edit": quarantine.look_to_edit}
_ACTIONS: Mapping[str, Act] = {
    "/record/edit": quarantine.edit,
    "/quarantine/reprocess": quarantine.reprocess,
    "/quarantine/discard": quarantine.discard,
    "/breaker/force": breakers.force,
    "/pattern/status": patterns.set_status,
    "/alerts/silence": alerts.silence,
    "/alerts/unsilence": alerts.unsilence,
}


def dashboard_app(
    manager: ErrorRecoveryManager,
    *,
    tokens: Mapping[str, User] | None = None,
    authenticate: Authenticate | None = None,
    secret: str | None = None,
) -> Starlette:
    """An ASGI app that shows a manager's database, and lets operators act.

    Mount it wherever you like: ``app.mount("/seawall", dashboard_app(manager, tokens=…))``. The
    manager must be started while pages are looked at.

    Args:
        manager: whose database it is; actions are done by it.
        tokens: users by token (20 characters or more): there is a page to sign in then.
        authenticate: in place of ``tokens``: who sent a request, by your own application's
            session; None where that is nobody who may look.
        secret: the same in each process that serves the pages, where ``authenticate`` is given
            and there are several.

    Returns:
        The app; ``app.state.close_live()`` ends the streams of live pages, for a server that is to
        stop and would wait for them.

    Raises:
        InvalidConfigError: nobody could sign in, or a token is too short.
    """
    site = _Site(manager, Access(tokens, authenticate, secret))
    routes = [
        *(Route(path, site.page(look)) for path, look in _PAGES.items()),
        *(Route(path, site.page(look, operator=True)) for path, look in _OPERATORS_PAGES.items()),
        *(Route(path, site.action(act), methods=["POST"]) for path, act in _ACTIONS.items()),
        Route("/live", site.live),
        Route("/sign-in", site.show_sign_in),
        Route("/sign-in", site.sign_in, methods=["POST"]),
        Route("/sign-out", site.sign_out, methods=["POST"]),
        Mount("/static", StaticFiles(packages=[("seawall.dashboard", "static")])),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecureHeaders)],
        exception_handlers={404: site.not_found, 405: site.wrong_method, Exception: site.failed},
    )
    app.state.close_live = site.hub.close
    return app


class _Site:
    """Answers requests: one way for all pages, and one for all actions."""

    def __init__(self, manager: ErrorRecoveryManager, access: Access) -> None:
        self._manager, self._access = manager, access
        self.hub = Hub(manager)
        self._recent = Recent(_RECENT_SECONDS)

    def page(self, look: Look, *, operator: bool = False) -> Callable[..., Awaitable[Response]]:
        """An endpoint that shows a view."""

        async def endpoint(request: Request) -> Response:
            user = await self._access.user_of(request)
            if user is None:
                return self._to_sign_in(request)
            if operator and not user.may_act:
                return self._error(request, user, 403, "This is for operators.")
            values = dict(request.query_params)
            asked = Asked(manager=self._manager, user=user, recent=self._recent, values=values)
            view = await self._tried(request, user, _PAGE_SECONDS, look(asked))
            return view if isinstance(view, Response) else self._shown(request, user, view)

        return endpoint

    def action(self, act: Act) -> Callable[..., Awaitable[Response]]:
        """An endpoint that does something, and then goes back to a page."""

        async def endpoint(request: Request) -> Response:
            user = await self._access.user_of(request)
            if user is None:
                return self._error(request, None, 401, "Sign in first.")
            if not user.may_act:
                return self._error(request, user, 403, "This is for operators.")
            done = await self._tried(request, user, _ACT_SECONDS, self._do(request, user, act))
            if isinstance(done, Response):
                return done
            path, said = done
            _logger.info("%s: %s %s", user.name, request.url.path, said)
            response = RedirectResponse(_root(request) + path, status_code=303)
            self._put_cookie(request, response, _SAID, quote(said[:1_000]), 60)
            return response

        return endpoint

    async def _do(self, request: Request, user: User, act: Act) -> tuple[str, str]:
        if not is_same_origin(request):
            raise _ForeignFormError
        form = await form_of(request)
        if not self._access.is_own_form(request, form, user):
            raise _ForeignFormError
        return await act(Asked(manager=self._manager, user=user, recent=self._recent, values=form))

    async def _tried(
        self, request: Request, user: User, seconds: float, work: Awaitable[Any]
    ) -> Any:
        """What came of it, or the page that says what is wrong."""
        try:
            with anyio.fail_after(seconds):
                return await work
        except _ForeignFormError:
            said = "This form was not sent from a page of this dashboard, or is too old: try again."
            return self._error(request, user, 403, said)
        except BadRequestError as error:
            return self._error(request, user, error.status, str(error))
        except TimeoutError:
            said = f"The database took longer than {seconds:g} s."
            return self._error(request, user, 504, said)
        except (NotStartedError, DatabaseUnavailableError) as error:
            return self._error(request, user, 503, str(error))
        except SeawallError as error:
            return self._error(request, user, 400, str(error))
        except Exception as error:
            if (answer := self._of_database(request, user, error)) is None:
                raise
            return answer

    def _of_database(self, request: Request, user: User, error: Exception) -> Response | None:
        """The page for what the database says; None where this is something else."""
        if isinstance(error, OSError) or is_connection_lost(error):
            _logger.warning("the database can't be reached: %r", error)
            return self._error(request, user, 503, "The database can't be reached now.")
        sqlstate = getattr(error, "sqlstate", None)
        if sqlstate is None:
            return None
        _logger.warning("the database refuses: %r", error)
        said = f"The database refuses (SQLSTATE {sqlstate}): the log says more."
        return self._error(request, user, 409, said)

    def _shown(self, request: Request, user: User, view: View) -> Response:
        values = {"title": view.title, "topics": view.topics, **view.values}
        response = self._rendered(request, user, view.template, values)
        # A part that is fetched anew leaves the message to the page itself.
        if _SAID in request.cookies and "hx-request" not in request.headers:
            response.delete_cookie(_SAID, path=_path(request))
        return response

    def _error(self, request: Request, user: User | None, status: int, said: str) -> Response:
        values = {"title": "That did not work", "failure": said}
        return self._rendered(request, user, "failed.html", values, status)

    def _rendered(
        self,
        request: Request,
        user: User | None,
        template: str,
        values: Mapping[str, Any],
        status: int = 200,
    ) -> Response:
        cookie = request.cookies.get(FORM_KEY) or Access.new_cookie()
        values = {
            "topics": (),
            "root": _root(request),
            "here": request.url.path.removeprefix(_root(request)),
            "asked_again": f"{request.url.path}?{request.url.query}".rstrip("?"),
            "user": user,
            "by_token": self._access.by_token,
            "said": unquote(request.cookies.get(_SAID, "")) or None,
            "form_token": None if user is None else self._access.form_token(cookie, user),
            **values,
        }
        text = templates().get_template(template).render(values)
        response = HTMLResponse(text, status)
        if FORM_KEY not in request.cookies:
            self._put_cookie(request, response, FORM_KEY, cookie, SESSION_SECONDS)
        return response

    async def live(self, request: Request) -> Response:
        """Tells a page of changes, as server-sent events."""
        if await self._access.user_of(request) is None:
            return Response(status_code=401)
        stream = self.hub.stream()
        try:
            first = await anext(stream)
        except TooManyPagesError:
            return Response("as many pages are live as one process serves", 503)

        async def events() -> Any:
            try:
                yield first
                async for message in stream:
                    yield message
            finally:
                await stream.aclose()  # type: ignore[attr-defined]

        headers = {"X-Accel-Buffering": "no"}
        return StreamingResponse(events(), media_type="text/event-stream", headers=headers)

    async def show_sign_in(self, request: Request) -> Response:
        """The page to sign in."""
        if not self._access.by_token:
            return self._error(request, None, 404, "Sign in where this application lets you.")
        return self._rendered(request, None, "sign_in.html", {"title": "Sign in", "wrong": False})

    async def sign_in(self, request: Request) -> Response:
        """Gives a session for a token."""
        if not is_same_origin(request) or not self._access.by_token:
            return self._error(request, None, 403, "Sign in on this dashboard's own page.")
        try:
            user = self._access.user_by_token((await form_of(request)).get("token", "").strip())
        except BadRequestError as error:
            return self._error(request, None, error.status, str(error))
        if user is None:
            _logger.warning("a wrong token was tried from %s", _client(request))
            await MACHINE_CLOCK.sleep(_WRONG_TOKEN_SECONDS)
            values = {"title": "Sign in", "wrong": True}
            return self._rendered(request, None, "sign_in.html", values, 403)
        _logger.info("%s signed in from %s", user.name, _client(request))
        response = RedirectResponse(_root(request) + "/", status_code=303)
        self._put_cookie(request, response, SESSION, self._access.session(user), SESSION_SECONDS)
        return response

    async def sign_out(self, request: Request) -> Response:
        """Takes the session away from the browser."""
        if not is_same_origin(request):
            return self._error(request, None, 403, "Sign out on this dashboard's own page.")
        response = RedirectResponse(_root(request) + "/sign-in", status_code=303)
        response.delete_cookie(SESSION, path=_path(request))
        return response

    def _to_sign_in(self, request: Request) -> Response:
        if not self._access.by_token:
            return self._error(request, None, 401, "Sign in where this application lets you.")
        if "hx-request" in request.headers:  # a part can't become another page
            return Response(status_code=401, headers={"HX-Refresh": "true"})
        return RedirectResponse(_root(request) + "/sign-in", status_code=303)

    async def not_found(self, request: Request, _error: Exception) -> Response:
        """There is no such page; the same for everybody."""
        return self._error(request, None, 404, "There is no such page.")

    async def wrong_method(self, request: Request, _error: Exception) -> Response:
        """The page is there, but not for this method."""
        return self._error(request, None, 405, "That is not how this page is asked for.")

    async def failed(self, request: Request, _error: Exception) -> Response:
        """A fault of ours; it is logged with its stack, and nothing of it is shown."""
        response = self._error(request, None, 500, "Something is broken here: the log says more.")
        response.headers.update(HEADERS)  # this one is made outside of all middleware
        response.headers["Cache-Control"] = "no-store"
        return response

    @staticmethod
    def _put_cookie(
        request: Request, response: Response, name: str, value: str, seconds: int
    ) -> None:
        response.set_cookie(
            name,
            value,
            max_age=seconds,
            path=_path(request),
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )


class _ForeignFormError(Exception):
    """A form that no page of ours sent."""


def _root(request: Request) -> str:
    """The path that the app is mounted at."""
    root: str = request.scope.get(ROOT, "")
    return root


def _path(request: Request) -> str:
    return _root(request) or "/"


def _client(request: Request) -> str:
    return request.client.host if request.client else "unknown"
