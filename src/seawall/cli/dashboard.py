"""``seawall dashboard``: the web pages, served by themselves."""

import os
import secrets
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from seawall.cli.common import Dsn, Folder, Schema, acting, fail, run
from seawall.clock import MACHINE_CLOCK
from seawall.errors import InvalidConfigError

if TYPE_CHECKING:
    import uvicorn

    from seawall.dashboard import User

_OPERATOR, _VIEWER = "SEAWALL_DASHBOARD_TOKEN", "SEAWALL_DASHBOARD_VIEWER_TOKEN"
_CLOSE_SECONDS = 2  # for pages that are live: they would never end by themselves
_LOOK_SECONDS = 0.05
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def dashboard(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8787,
    root_path: Annotated[str, typer.Option(help="The path that a proxy serves it under.")] = "",
    tokens: Annotated[
        Path | None,
        typer.Option(help="A TOML file: a table for each user's name, with token and role."),
    ] = None,
) -> None:
    """Serve the web pages, until stopped.

    Who may sign in: the users of --tokens, or of SEAWALL_DASHBOARD_TOKEN (may act) and
    SEAWALL_DASHBOARD_VIEWER_TOKEN (may look). Without any, a token for this time is printed.
    """
    try:
        import uvicorn

        from seawall.dashboard import dashboard_app
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: pip install 'seawall[dashboard]'", 2)
    try:
        users = _users(tokens)
    except InvalidConfigError as error:
        fail(str(error), 2)

    async def work() -> None:
        async with acting(dsn, folder, schema) as manager:
            app = dashboard_app(manager, tokens=users)
            config = uvicorn.Config(
                app,
                host=host,
                port=port,
                root_path=root_path,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
            server = uvicorn.Server(config)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_attend, server, host, app.state.close_live)
                await server.serve()
                tasks.cancel_scope.cancel()

    if host not in _LOOPBACK:
        typer.echo("note: tokens travel as they are: put TLS in front, see docs/dashboard.md")
    run(work())


async def _attend(server: "uvicorn.Server", host: str, close_live: Callable[[], None]) -> None:
    """Print the address, once there is something behind it; end the live pages with the server."""
    while not server.started:
        await MACHINE_CLOCK.sleep(_LOOK_SECONDS)
    port = server.servers[0].sockets[0].getsockname()[1]
    where = f"[{host}]" if ":" in host else host
    typer.echo(f"seawall dashboard: http://{where}:{port}{server.config.root_path}/")
    while not server.should_exit:
        await MACHINE_CLOCK.sleep(_LOOK_SECONDS)
    close_live()


def _users(path: Path | None) -> "dict[str, User]":
    from seawall.dashboard import Role, User

    if path is not None:
        return {each["token"]: User(name, each["role"]) for name, each in _tables(path).items()}
    users = {
        token: User(role.value, role)
        for name, role in ((_OPERATOR, Role.OPERATOR), (_VIEWER, Role.VIEWER))
        if (token := os.environ.get(name))
    }
    if not users:
        token = secrets.token_urlsafe(24)
        users[token] = User(os.environ.get("USER") or "operator", Role.OPERATOR)
        typer.echo(f"token, for this time: {token}")
    return users


def _tables(path: Path) -> Mapping[str, Any]:
    """The file's users; each a table with a token and a role."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}", 2)
    for name, each in found.items():
        if not isinstance(each, dict) or {"token", "role"} != set(each):
            fail(f'{path}: {name} must be a table with token = "…" and role = "viewer"', 2)
        if not all(isinstance(value, str) for value in each.values()):
            fail(f"{path}: token and role of {name} must be texts", 2)
    if len({each["token"] for each in found.values()}) < len(found):
        fail(f"{path}: two users have the same token", 2)
    return found
