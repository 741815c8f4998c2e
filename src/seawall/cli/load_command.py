"""The options of ``seawall load``, and its exit codes."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, cast

import typer

from seawall.cli.common import AsJson, Dsn, Folder, Schema, dsn_of, fail
from seawall.errors import (
    InvalidConfigError,
    MissingTableError,
    SeawallError,
    ShutdownError,
    SourceError,
    TooManyBadRecordsError,
)

if TYPE_CHECKING:
    from seawall.file_load import Kind

T = TypeVar("T")
DONE, FAILED, USAGE, QUARANTINED, TOLERANCE, STOPPED = 0, 1, 2, 3, 4, 130

HELP = """Load CSV, JSON lines or Parquet files (gzip too) into a table, each record once.

Killed at any moment, the same command goes on where it was. Records that the table refuses are put
in quarantine with their reason and line; the rest is loaded.

Exit codes: 0 all is loaded; 3 loaded, and some records are in quarantine; 4 stopped, since more
were bad than --tolerate allows; 1 a file or the database failed: run it again; 2 wrong use: no such
file, table or column; 130 stopped by a signal: run it again to go on.
"""


def load(
    files: Annotated[list[Path], typer.Argument(help="The files, in order.", metavar="FILE…")],
    into: Annotated[str, typer.Option(help="The table, with its schema where needed.")],
    dsn: Dsn = None,
    folder: Folder = None,
    schema: Schema = "seawall",
    *,
    create: Annotated[
        bool,
        typer.Option("--create", help="Make the table where there is none; types inferred."),
    ] = False,
    on_conflict: Annotated[
        str | None,
        typer.Option(help="A key that is there already: 'nothing' or 'update' (upsert)."),
    ] = None,
    tolerate: Annotated[
        str | None, typer.Option(help="How many may be bad: 1%, or a number of records.")
    ] = None,
    reprocess: Annotated[
        bool, typer.Option("--reprocess", help="Load what is in quarantine, once mended.")
    ] = False,
    run_id: Annotated[
        str | None, typer.Option(help="The run; made of the files and the table without it.")
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="csv, jsonl or parquet; by the name without it.")
    ] = "infer",
    columns: Annotated[
        str | None,
        typer.Option(help="a,b,c: CSV: in place of the header's names; else: only these."),
    ] = None,
    no_header: Annotated[
        bool, typer.Option("--no-header", help="CSV has none: --columns are needed.")
    ] = False,
    delimiter: Annotated[
        str | None, typer.Option(help="CSV: a comma, a tab for .tsv, without it.")
    ] = None,
    quote: Annotated[str, typer.Option(help="CSV: the quote character.")] = '"',
    null: Annotated[str, typer.Option(help="CSV: what stands for NULL, such as NA.")] = "",
    encoding: Annotated[str, typer.Option(help="CSV: such as latin-1.")] = "utf-8",
    batch_size: Annotated[int, typer.Option(help="Records a transaction.")] = 50_000,
    as_json: AsJson = False,
) -> None:
    # Here: it is much, and no other command needs it.
    from seawall.cli import load as loading
    from seawall.cli.load_display import LoadDisplay
    from seawall.file_load import FileFormat

    try:
        command = loading.LoadCommand(
            files=files,
            table=into,
            file_format=FileFormat(
                kind=cast("Kind", file_format),
                columns=loading.columns_of(columns),
                header=not no_header,
                delimiter=loading.delimiter_of(delimiter),
                quote=quote,
                null=null,
                encoding=encoding,
                rows=batch_size,
            ),
            run_id=run_id,
            create=create,
            on_conflict=cast("Literal['nothing', 'update'] | None", on_conflict),
            tolerance=loading.tolerance_of(tolerate),
        )
        run = command.run
    except InvalidConfigError as error:
        fail(str(error), USAGE)
    if reprocess:
        metrics = _run(loading.reprocess(dsn_of(dsn, folder), schema, command))
        code = QUARANTINED if metrics.failed else DONE
        if as_json:
            typer.echo(loading.metrics_as_json(metrics, run, code))
        else:
            loading.show_metrics(metrics, into)
        raise typer.Exit(code)
    with LoadDisplay(f"into {into}", quiet=as_json) as display:
        outcome = _run(loading.load(dsn_of(dsn, folder), schema, command, display))
    code = QUARANTINED if outcome.report.stream.rows_quarantined else DONE
    if as_json:
        typer.echo(loading.as_json(outcome, code))
    else:
        loading.show(outcome)
    raise typer.Exit(code)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; whatever ends it early is one line, and an exit code."""
    try:
        return asyncio.run(work)
    except TooManyBadRecordsError as error:
        fail(str(error), TOLERANCE)
    except (InvalidConfigError, MissingTableError, FileNotFoundError, IsADirectoryError) as error:
        fail(str(error), USAGE)
    except (ShutdownError, KeyboardInterrupt, asyncio.CancelledError):
        fail("stopped; run it again to go on where it was", STOPPED)
    except SourceError as error:
        fail(str(error), FAILED)
    except (SeawallError, OSError) as error:
        fail(f"{error}; run it again to go on where it was", FAILED)
    except Exception as error:
        if (sqlstate := getattr(error, "sqlstate", None)) is None:
            raise
        fail(f"the database refuses (SQLSTATE {sqlstate}): {error}", FAILED)
