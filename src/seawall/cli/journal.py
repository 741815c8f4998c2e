"""``seawall journal``: rows that wait on this machine's disk for PostgreSQL."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from seawall.cli.common import AsJson, Dsn, Folder, Schema, acting, emit, run, table
from seawall.journal import JournalFolder
from seawall.journal.frame import Frame, frames
from seawall.outage import default_root

app = typer.Typer(help="Rows that wait on this machine's disk.", no_args_is_help=True)

JournalPath = Annotated[
    Path | None, typer.Option("--journal", help="The folder, where journal_folder is set.")
]


def folders(given: Path | None) -> list[Path]:
    """One for each database, in the folder named or in the user's own."""
    root = default_root() if given is None else given
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def waiting(given: Path | None) -> list[dict[str, Any]]:
    """The files that wait, and those that were set aside."""
    found: list[dict[str, Any]] = []
    for folder in folders(given):
        for each in JournalFolder(folder).listing():
            data = each.path.read_bytes()
            read = list(frames(data, UUID(each.path.stem)))
            rows = sum(len(part.rows) for part in read if isinstance(part, Frame))
            found.append(_row(each.path, "held" if each.held else "waits", rows))
        found += [
            _row(path, path.suffix[1:], None)
            for path in sorted(folder.glob("*.*"))
            if path.suffix in (".corrupt", ".refused")
        ]
    return found


def _row(path: Path, state: str, rows: int | None) -> dict[str, Any]:
    status = path.stat()
    changed = datetime.fromtimestamp(status.st_mtime, UTC)
    return {
        "folder": str(path.parent),
        "file": path.name,
        "state": state,
        "rows": rows,
        "bytes": status.st_size,
        "changed_at": changed,
    }


@app.command("show")
def show(journal: JournalPath = None, *, as_json: AsJson = False) -> None:
    """List what waits, what a living process holds, and what was set aside."""
    found = waiting(journal)
    columns = [("folder", "folder"), ("file", "file"), ("state", "state"), ("rows", "rows"),
               ("bytes", "bytes"), ("changed", "changed_at")]  # fmt: skip
    emit(found, as_json=as_json, show=lambda c: table(c, "Journal", columns, found))


@app.command("replay")
def replay(
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    journal: JournalPath = None,
) -> None:
    """Bring what dead processes have left to the database that it belongs to."""

    async def work() -> tuple[int, int, int]:
        config = {} if journal is None else {"journal_folder": journal}
        async with acting(dsn, folder, schema, **config) as manager:
            done = await manager.replay_journal()
        return done.rows, done.refused, done.damaged_bytes

    rows, refused, damaged = run(work())
    typer.echo(f"{rows:,} rows are in the database")
    if refused or damaged:
        typer.echo(f"set aside: {refused:,} refused rows, {damaged:,} bytes that can't be read")
        raise typer.Exit(1)
