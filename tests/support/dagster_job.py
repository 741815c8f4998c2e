"""Jobs that fail in different ways: python dagster_job.py DSN"""

import sys

from dagster import DagsterInstance, RetryPolicy, job, op

from seawall import ErrorRecoveryManager, retry
from seawall.integrations.dagster import dagster_run

manager = ErrorRecoveryManager(sys.argv[1])
calls = {"wrong": 0, "slow": 0, "given up": 0, "well": 0}


@op(retry_policy=RetryPolicy(max_retries=3))
async def wrong(context):
    calls["wrong"] += 1
    async with dagster_run(manager, context):
        raise PermissionError("password authentication failed")


@op(retry_policy=RetryPolicy(max_retries=3))
async def slow(context):
    calls["slow"] += 1
    async with dagster_run(manager, context):
        if calls["slow"] < 3:
            raise TimeoutError("no answer")


@retry(max_retries=1, initial_delay=0.01)
async def unreachable():
    raise ConnectionResetError("gone")


@op(retry_policy=RetryPolicy(max_retries=3))
async def given_up(context):
    calls["given up"] += 1
    async with dagster_run(manager, context):
        await unreachable()


@op
async def well(context):
    calls["well"] += 1
    async with dagster_run(manager, context) as run:
        assert run.run_id == f"dagster-{context.run_id}"


@job
def wrong_job():
    wrong()


@job
def slow_job():
    slow()


@job
def given_up_job():
    given_up()


@job
def well_job():
    well()


if __name__ == "__main__":
    with DagsterInstance.ephemeral() as instance:
        for each, good in ((wrong_job, 0), (slow_job, 1), (given_up_job, 0), (well_job, 1)):
            result = each.execute_in_process(instance=instance, raise_on_error=False)
            assert result.success == bool(good), each.name
    print(calls)
