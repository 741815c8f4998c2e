"""Claims of background work as rows of ``background_jobs``.

Each is one statement that needs nothing of its connection: it works behind a transaction pooler.
"""

from collections.abc import Collection

from seawall.maintenance.job import Job
from seawall.postgres.database import Database
from seawall.postgres.names import in_schema

_REGISTER = """
INSERT INTO {schema}.background_jobs (job) SELECT unnest($1::text[]) ON CONFLICT (job) DO NOTHING
"""

# SKIP LOCKED: of workers that look at the same moment each takes another job. With nothing due,
# nothing is written.
_CLAIM = """
UPDATE {schema}.background_jobs SET
    owner = $2, last_started_at = clock_timestamp(),
    lease_until = clock_timestamp() + $3::float8 * interval '1 s'
WHERE job = (
    SELECT job FROM {schema}.background_jobs
    WHERE job = ANY($1::text[]) AND due_at <= clock_timestamp()
      AND (lease_until IS NULL OR lease_until < clock_timestamp())
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING job
"""

# A lease that ran out, and that nobody has taken, is good again.
_RENEW = """
UPDATE {schema}.background_jobs
SET lease_until = clock_timestamp() + $3::float8 * interval '1 s'
WHERE job = $1 AND owner = $2
RETURNING job
"""

_FINISH = """
UPDATE {schema}.background_jobs SET
    owner = NULL, lease_until = NULL,
    due_at = clock_timestamp() + interval '1 s' * CASE
        WHEN $4::text IS NULL THEN $3::float8
        ELSE least($3::float8, $5::float8 * 2 ^ least(failure_count, 20))
    END,
    last_seconds = extract(epoch FROM clock_timestamp() - last_started_at)::float8,
    last_finished_at = CASE WHEN $4::text IS NULL THEN clock_timestamp() ELSE last_finished_at END,
    last_error = $4,
    failure_count = CASE WHEN $4::text IS NULL THEN 0 ELSE failure_count + 1 END
WHERE job = $1 AND owner = $2
"""

_RELEASE = """
UPDATE {schema}.background_jobs SET owner = NULL, lease_until = NULL
WHERE job = $1 AND owner = $2
"""


class PostgresJobStore:
    """Implements ``JobStore`` over one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        schema = database.schema
        self._register = in_schema(_REGISTER, schema)
        self._claim, self._finish = in_schema(_CLAIM, schema), in_schema(_FINISH, schema)
        self._renew, self._release = in_schema(_RENEW, schema), in_schema(_RELEASE, schema)
        self._registered: frozenset[str] = frozenset()

    async def claim(self, jobs: Collection[Job], owner: str, lease_seconds: float) -> str | None:
        """Take one job that is due and nobody's."""
        names = [job.name for job in jobs]
        async with self._database.acquire() as connection:
            if not self._registered.issuperset(names):
                await connection.execute(self._register, names)
                self._registered = frozenset(names)
            claimed: str | None = await connection.fetchval(
                self._claim, names, owner, lease_seconds
            )
        return claimed

    async def renew(self, job: Job, owner: str, lease_seconds: float) -> bool:
        """Begin the lease anew."""
        async with self._database.acquire() as connection:
            kept = await connection.fetchval(self._renew, job.name, owner, lease_seconds)
        return kept is not None

    async def finish(self, job: Job, owner: str, error: str | None) -> None:
        """Give it back, due again after ``every``, sooner where it failed."""
        async with self._database.acquire() as connection:
            await connection.execute(
                self._finish, job.name, owner, job.every, error, job.first_retry
            )

    async def release(self, job: Job, owner: str) -> None:
        """Give it back as it was."""
        async with self._database.acquire() as connection:
            await connection.execute(self._release, job.name, owner)
