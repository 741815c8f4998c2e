"""Read by the type checker, run by nobody: loading files."""

from pathlib import Path
from typing import assert_type

from seawall import ErrorRecoveryManager, FileFormat, FileLoadReport, ReprocessMetrics


async def load(manager: ErrorRecoveryManager) -> None:
    form = FileFormat(kind="csv", null="NA", columns=["a", "b"])
    report = await manager.load_files(
        ["a.csv", Path("b.csv")], "t", file_format=form, on_conflict="update", tolerance=0.01
    )
    assert_type(report, FileLoadReport)
    assert_type(report.stream.rows_loaded, int)
    assert_type(await manager.reprocess_file_load(["a.csv"], "t"), ReprocessMetrics)
