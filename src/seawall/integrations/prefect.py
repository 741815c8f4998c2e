"""Prefect: a flow run is a run of ours, and its retries don't multiply ours."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from prefect import runtime

from seawall.errors import InvalidConfigError
from seawall.integrations.orchestration import is_worth_a_rerun
from seawall.manager import ErrorRecoveryManager
from seawall.run import Run


@asynccontextmanager
async def flow_run(manager: ErrorRecoveryManager) -> AsyncIterator[Run]:
    """Inside a flow: starts the manager, and enters the run that the flow run is.

    Its id is the flow run's, which Prefect keeps over its retries: a flow that is run again goes on
    where it was. The pipeline is the flow's name, the release its version. How the block ends is
    recorded on both sides.

    Raises:
        InvalidConfigError: there is no flow run.
    """
    run_id, name = runtime.flow_run.id, runtime.flow_run.flow_name
    if not run_id:
        raise InvalidConfigError("flow_run: call it inside a Prefect flow")
    tags = {"prefect_flow_run": runtime.flow_run.name}
    release = getattr(runtime.flow_run, "flow_version", None)
    async with manager, manager.run(name, f"prefect-{run_id}", release=release, tags=tags) as run:
        yield run


def retry_condition(manager: ErrorRecoveryManager) -> Callable[[Any, Any, Any], bool]:
    """For ``@task(retries=…, retry_condition_fn=retry_condition(manager))``.

    False where running it again can't help, or a retry of ours was used up on it.
    """

    def condition(_task: Any, _task_run: Any, state: Any) -> bool:
        error = state.result(raise_on_failure=False)
        return not isinstance(error, BaseException) or is_worth_a_rerun(error, manager.classifier)

    return condition
