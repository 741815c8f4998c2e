"""ErrorRecoveryManager: the thin front door. Each method is a few lines over a part."""

from seawall.manager.alerts import AlertMethods
from seawall.manager.analysis import AnalysisMethods
from seawall.manager.checkpoints import CheckpointMethods
from seawall.manager.files import FileMethods
from seawall.manager.payloads import PayloadMethods
from seawall.manager.policies import PolicyMethods
from seawall.manager.records import RecordMethods
from seawall.manager.recovery import RecoveryMethods
from seawall.manager.runs import RunMethods


class ErrorRecoveryManager(
    PolicyMethods,
    FileMethods,
    RecordMethods,
    PayloadMethods,
    CheckpointMethods,
    RunMethods,
    AnalysisMethods,
    RecoveryMethods,
    AlertMethods,
):
    """Retry, breakers, checkpoints, quarantine and their records, over one database.

    Can be made at import time, before any event loop runs; its policies work from then on.
    ``async with manager`` starts what needs the database. May be shared between the tasks of one
    event loop.

    Args:
        dsn: a DSN, an asyncpg pool of your own, ``embedded:///folder``, or None for
            ``SEAWALL_DSN``, else the embedded PostgreSQL.
        config: a ``RecoveryConfig`` or a mapping of its keys.
        pipeline_id: the pipeline that work outside ``run`` belongs to.
        schema: where seawall's tables are.

    Raises:
        InvalidConfigError: a key, value or the DSN is wrong; the message says what would be right.
    """
