-- What a role that only writes can't do by itself, it does by these functions of the owner: as far
-- as they go, and no further. Each has a search path of its own, with temporary tables last, so that
-- nobody's table of the same name stands in the way.

-- The next partition, by name and month alone: its bounds are reckoned here.
CREATE FUNCTION make_partition(parent text, month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    keys constant jsonb := '{"error_details": "error_id", "retry_attempts": "attempt_id",
                             "system_health": "sample_id"}';
    own text := current_schema();
    key text := keys ->> parent;
    first date := date_trunc('month', month)::date;
    child text := parent || to_char(first, '_YYYY_MM');
    from_key uuid := uuid7_floor(first);
    to_key uuid := uuid7_floor((first + interval '1 month')::date);
BEGIN
    IF key IS NULL THEN
        RAISE EXCEPTION 'make_partition: % is not one of %', parent, keys
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF first < date '2020-01-01' OR first >= date '2100-01-01' THEN
        RAISE EXCEPTION 'make_partition: % is out of range', month
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM set_config('lock_timeout', '2s', true);
    PERFORM pg_advisory_xact_lock(hashtextextended('seawall partitions ' || own, 0));
    IF to_regclass(format('%I.%I', own, child)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- A writer on its way to the default partition would make the attaching fail, or be refused
    -- after it: its row belongs into the new one. Held off at the parent, it looks anew. Reads go on.
    EXECUTE format('LOCK TABLE ONLY %I.%I IN SHARE ROW EXCLUSIVE MODE', own, parent);
    -- Made aside and attached: creating it in place would lock out the readers too.
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
                   own, child, own, parent);
    -- A row that the default partition has already would refuse the attaching.
    EXECUTE format(
        'WITH moved AS (DELETE FROM %I.%I WHERE %I >= %L AND %I < %L RETURNING *) '
        'INSERT INTO %I.%I SELECT * FROM moved',
        own, parent || '_default', key, from_key, key, to_key, own, child);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)',
                   own, parent, own, child, from_key, to_key);
    RETURN true;
END $$;
COMMENT ON FUNCTION make_partition IS 'Make the partition of a month, unless it is there; whether it was made.';

-- The smallest UUIDv7 of a day: a bound between partitions.
CREATE FUNCTION uuid7_floor(day date) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM day::timestamp) * 1000)::bigint), 12, '0')
            || '70008000000000000000')::uuid
$$;
COMMENT ON FUNCTION uuid7_floor IS 'The smallest UUIDv7 of a day, in UTC.';

DO $$
DECLARE
    each text;
BEGIN
    FOREACH each IN ARRAY ARRAY[
        'make_partition(text, date)', 'quarantine_count_added()', 'quarantine_count_changed()',
        'quarantine_records_removed()', 'quarantine_records_emptied()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp',
                       each, current_schema());
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION make_partition FROM PUBLIC;

-- What was done by hand stays as it was written down, whoever asks.
CREATE FUNCTION audit_log_refuses() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit_log is only ever added to'
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuses();
CREATE INDEX audit_log_acted ON audit_log (acted_at DESC);
