"""What is told of checkpoints that are saved by themselves."""

from seawall import ErrorRecoveryManager
from seawall.events import CheckpointSaved


async def test_checkpoint_progress_tells_whose_it_is(database_dsn):
    heard = []
    async with ErrorRecoveryManager(database_dsn, pipeline_id="orders") as manager:
        manager.subscribe(heard.append)
        async with manager.run("flights", "r1", release="1.2"):
            inside = await manager.checkpoint_progress("r1", "load", {"n": 1}, partition=2)
        outside = await manager.checkpoint_progress("r1", "clean", [1])
    told = [event for event in heard if isinstance(event, CheckpointSaved)]
    assert [(event.checkpoint_id, event.partition) for event in told] == [(inside, 2), (outside, 0)]
    assert [
        (event.scope.pipeline_id, event.scope.run_id, event.scope.step, event.scope.release)
        for event in told
    ] == [("flights", "r1", "load", "1.2"), ("orders", "r1", "clean", None)]
