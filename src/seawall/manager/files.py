"""The front door's loading of files."""

import os
from collections.abc import Sequence
from typing import Unpack

from seawall.checkpoint.options import CheckpointOptions
from seawall.conflict import OnConflictOption
from seawall.file_load import STEP, FileFormat, FileLoad, FileLoadReport
from seawall.manager.checkpoints import CheckpointMethods
from seawall.manager.records import RecordMethods
from seawall.quarantine.reprocess import ReprocessMetrics


class FileMethods(RecordMethods, CheckpointMethods):
    """Files into a table."""

    async def load_files(
        self,
        files: "Sequence[str | os.PathLike[str]]",
        table: str,
        *,
        run_id: str | None = None,
        file_format: FileFormat | None = None,
        create: bool = False,
        on_conflict: OnConflictOption | None = None,
        **options: Unpack[CheckpointOptions],
    ) -> FileLoadReport:
        """Load CSV, JSON lines and Parquet files into a table, each record once.

        Called again with the same files and table it goes on where it was; a file that has grown is
        loaded from there. The bytes go to the server as they are; only where it refuses some is
        looked for the records at fault, which are quarantined with their file, byte and line.

        Args:
            files: their paths, in order; ``.gz`` of the text ones too.
            table: as SQL names it.
            run_id: made of the files' paths and the table without it.
            file_format: how they are to be read.
            create: make the table where there is none, its types inferred from the first records.
            on_conflict: ``"nothing"``, ``"update"`` or an ``OnConflict``: an upsert.
            **options: see ``CheckpointOptions``; ``strategy`` and ``database`` can't be given.

        Raises:
            InvalidConfigError: an option is wrong, or a file's name doesn't tell what it is.
            MissingTableError: there is no such table, or it lacks a column of a file.
            SourceError: a file's header can't be read, or it is damaged.
            SourceChangedError: a file isn't what was loaded under its name in this run.
            TooManyBadRecordsError: more records are bad than is tolerated.
        """
        load = FileLoad(files, table, file_format)
        step = self.checkpoint(run_id or load.run_id, STEP, **load.options(options))
        return await load.run(self.database, step, create=create, on_conflict=on_conflict)

    async def reprocess_file_load(
        self,
        files: "Sequence[str | os.PathLike[str]]",
        table: str,
        *,
        run_id: str | None = None,
        file_format: FileFormat | None = None,
        on_conflict: OnConflictOption | None = None,
        actor: str | None = None,
    ) -> ReprocessMetrics:
        """Load the records that ``load_files`` has quarantined: the table or they are mended.

        Args:
            files: as they were loaded, and so are ``table``, ``run_id`` and ``file_format``.
            table: as SQL names it.
            run_id: made of the files' paths and the table without it.
            file_format: how a line that could not be read is to be read now.
            on_conflict: as for ``load_files``.
            actor: who does it; this worker's host and process id without it.

        Raises:
            MissingTableError: there is no such table.
        """
        load = FileLoad(files, table, file_format)
        return await self.reprocess_quarantined_records(
            run_id or load.run_id,
            processor=await load.processor(on_conflict),
            step=STEP,
            actor=actor,
        )
