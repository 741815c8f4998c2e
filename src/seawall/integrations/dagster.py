"""Dagster: a Dagster run is a run of ours, and its retries don't multiply ours."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dagster import Failure, OpExecutionContext

from seawall.integrations.orchestration import is_worth_a_rerun
from seawall.manager import ErrorRecoveryManager
from seawall.run import Run


@asynccontextmanager
async def dagster_run(
    manager: ErrorRecoveryManager, context: OpExecutionContext
) -> AsyncIterator[Run]:
    """Inside an op or asset: starts the manager, and enters the run that the Dagster run is.

    A run that Dagster executes again from its failure is the same run of ours (that of its root),
    and goes on where it was. The pipeline is the job's name. What running again can't help, or a
    retry of ours was used up on, is raised as a ``dagster.Failure`` that allows no retries.
    """
    root = context.run.root_run_id or context.run_id
    tags = {"dagster_run": context.run_id, "dagster_op": context.op.name}
    try:
        async with manager, manager.run(context.job_name, f"dagster-{root}", tags=tags) as run:
            yield run
    except Exception as error:
        if is_worth_a_rerun(error, manager.classifier):
            raise
        raise Failure(
            description=f"{type(error).__name__}: {error}", allow_retries=False
        ) from error
