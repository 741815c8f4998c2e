-- Outcomes of quarantined records: their words, edits, purges, and figures of how they grow.

-- A record that waits is pending. None is marked as taken: its row lock says so.
ALTER TABLE quarantined_records DROP CONSTRAINT quarantined_records_status_check;
UPDATE quarantined_records SET status = 'pending' WHERE status IN ('quarantined', 'reprocessing');
ALTER TABLE quarantined_records ALTER COLUMN status SET DEFAULT 'pending';
ALTER TABLE quarantined_records ADD CONSTRAINT quarantined_records_status_check
    CHECK (status IN ('pending', 'reprocessed', 'failed', 'discarded'));
COMMENT ON COLUMN quarantined_records.status IS 'pending; reprocessed, failed, discarded: its outcome. A failed one can be tried again.';

-- Pages of a run's records come in the order of the key. A bad row costs no more than with
-- (run_id, step): 5.0 and 5.1 us, of which this index is 0.9.
DROP INDEX quarantined_records_run;
CREATE INDEX quarantined_records_run ON quarantined_records (run_id, record_id);

-- Checking the reference of each attempt was a quarter of a reprocessing's time (41 us a record, 31
-- without). The trigger on deletion below takes a record's attempts with it.
ALTER TABLE quarantine_attempts DROP CONSTRAINT quarantine_attempts_record_id_fkey;
ALTER TABLE quarantine_attempts ADD COLUMN sqlstate text;
COMMENT ON COLUMN quarantine_attempts.sqlstate IS 'The server''s code, where a database raised the error.';

CREATE TABLE quarantine_edits (
    edit_id uuid PRIMARY KEY,
    record_id uuid NOT NULL REFERENCES quarantined_records ON DELETE CASCADE,
    payload json NOT NULL,
    redacted boolean NOT NULL,
    actor text NOT NULL,
    why text NOT NULL,
    edited_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE quarantine_edits IS 'Payloads as they were before somebody edited them.';
COMMENT ON COLUMN quarantine_edits.edit_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN quarantine_edits.record_id IS 'The record that was edited; goes with it.';
COMMENT ON COLUMN quarantine_edits.payload IS 'The payload before the edit, stored as the record''s own is.';
COMMENT ON COLUMN quarantine_edits.redacted IS 'Whether that payload was stored masked.';
COMMENT ON COLUMN quarantine_edits.actor IS 'Who edited it.';
COMMENT ON COLUMN quarantine_edits.why IS 'Why, in the actor''s words.';
COMMENT ON COLUMN quarantine_edits.edited_at IS 'When it was edited.';
CREATE INDEX quarantine_edits_record ON quarantine_edits (record_id);

CREATE TABLE quarantine_purges (
    purge_id uuid PRIMARY KEY,
    actor text NOT NULL,
    which json NOT NULL,
    settled_before timestamptz NOT NULL,
    records bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
COMMENT ON TABLE quarantine_purges IS 'Deletions of settled records: who, when, which, how many.';
COMMENT ON COLUMN quarantine_purges.purge_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN quarantine_purges.actor IS 'Who ran it: a person, or the worker''s host:pid.';
COMMENT ON COLUMN quarantine_purges.which IS 'What was asked for: the filter, without what it left open.';
COMMENT ON COLUMN quarantine_purges.settled_before IS 'Records settled later were kept.';
COMMENT ON COLUMN quarantine_purges.records IS 'Records deleted so far; grows in the transaction that deletes them.';
COMMENT ON COLUMN quarantine_purges.started_at IS 'When it began.';
COMMENT ON COLUMN quarantine_purges.ended_at IS 'When it was done; NULL where it was cut off.';

-- Figures of growth come from here, so that reading them costs the same however many records there
-- are, and old days stay when their records are purged. Rows are only added by the triggers below
-- (a counter a day would be one row that all workers wait for) and folded by whoever reads them.
CREATE TABLE quarantine_counts (
    pipeline_id text NOT NULL,
    counted_on date NOT NULL,
    set_aside_on date NOT NULL,
    reason text NOT NULL,
    set_aside bigint NOT NULL,
    settled bigint NOT NULL
);
COMMENT ON TABLE quarantine_counts IS 'Records set aside and settled, to be summed: several rows may stand for one day.';
COMMENT ON COLUMN quarantine_counts.pipeline_id IS 'The pipeline.';
COMMENT ON COLUMN quarantine_counts.counted_on IS 'The day (UTC) on which this happened.';
COMMENT ON COLUMN quarantine_counts.set_aside_on IS 'The day (UTC) on which the records were set aside.';
COMMENT ON COLUMN quarantine_counts.reason IS 'Why they were set aside: the first 200 characters.';
COMMENT ON COLUMN quarantine_counts.set_aside IS 'Records set aside.';
COMMENT ON COLUMN quarantine_counts.settled IS 'Records reprocessed, discarded, or deleted while open; less those opened again.';
CREATE INDEX quarantine_counts_pipeline ON quarantine_counts (pipeline_id, counted_on);
INSERT INTO quarantine_counts
SELECT pipeline_id, (quarantined_at AT TIME ZONE 'UTC')::date,
       (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), count(*),
       count(*) FILTER (WHERE status IN ('reprocessed', 'discarded'))
FROM quarantined_records GROUP BY 1, 2, 3, 4;

-- Statement triggers: one more row a COPY and reason, 0.3 us a record.
CREATE FUNCTION quarantine_count_added() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO quarantine_counts
    SELECT pipeline_id, (quarantined_at AT TIME ZONE 'UTC')::date,
           (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), records, settled
    FROM (
        SELECT pipeline_id, reason, quarantined_at, count(*) AS records,
               count(*) FILTER (WHERE status IN ('reprocessed', 'discarded')) AS settled
        FROM added GROUP BY pipeline_id, reason, quarantined_at
    ) AS grouped;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_count_added AFTER INSERT ON quarantined_records
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_count_added();

CREATE FUNCTION quarantine_count_changed() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO quarantine_counts
    SELECT pipeline_id, (clock_timestamp() AT TIME ZONE 'UTC')::date,
           (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), 0, sum(settled)
    FROM (
        SELECT pipeline_id, quarantined_at, reason, count(*) AS settled FROM after_it
        WHERE status IN ('reprocessed', 'discarded') GROUP BY 1, 2, 3
        UNION ALL
        SELECT pipeline_id, quarantined_at, reason, -count(*) FROM before_it
        WHERE status IN ('reprocessed', 'discarded') GROUP BY 1, 2, 3
    ) AS changed
    GROUP BY 1, 3, 4 HAVING sum(settled) <> 0;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_count_changed AFTER UPDATE ON quarantined_records
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_count_changed();

CREATE FUNCTION quarantine_records_removed() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO quarantine_counts
    SELECT pipeline_id, (clock_timestamp() AT TIME ZONE 'UTC')::date,
           (quarantined_at AT TIME ZONE 'UTC')::date, left(reason, 200), 0, count(*)
    FROM removed WHERE status IN ('pending', 'failed')
    GROUP BY 1, 3, 4;
    DELETE FROM quarantine_attempts a USING removed r WHERE a.record_id = r.record_id;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_records_removed AFTER DELETE ON quarantined_records
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_records_removed();

CREATE FUNCTION quarantine_records_emptied() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    TRUNCATE quarantine_counts, quarantine_attempts;
    RETURN NULL;
END $$;
CREATE TRIGGER quarantine_records_emptied AFTER TRUNCATE ON quarantined_records
    FOR EACH STATEMENT EXECUTE FUNCTION quarantine_records_emptied();
