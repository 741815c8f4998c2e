"""A flow that fails at first and goes on in its retry: python prefect_job.py DSN"""

import sys

from prefect import flow, task
from prefect.testing.utilities import prefect_test_harness

from seawall import ErrorRecoveryManager
from seawall.integrations.prefect import flow_run, retry_condition

manager = ErrorRecoveryManager(sys.argv[1])
calls = {"step": 0, "flow": 0, "wrong": 0, "slow": 0}


@task(retries=3, retry_condition_fn=retry_condition(manager))
def wrong():
    calls["wrong"] += 1
    raise PermissionError("password authentication failed")


@task(retries=2, retry_condition_fn=retry_condition(manager))
def slow():
    calls["slow"] += 1
    raise TimeoutError("no answer")


async def once():
    calls["step"] += 1
    return 42


@flow(name="orders", retries=1)
async def orders():
    calls["flow"] += 1
    async with flow_run(manager) as run:
        answer = await run.step("once", once)
        for each in (wrong, slow):
            each(return_state=True)
        if calls["flow"] == 1:
            raise ConnectionResetError("gone")
        return answer


if __name__ == "__main__":
    import asyncio

    with prefect_test_harness(server_startup_timeout=60):
        assert asyncio.run(orders()) == 42
    print(calls)
