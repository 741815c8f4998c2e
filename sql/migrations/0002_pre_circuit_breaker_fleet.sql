-- Circuit breakers shared by the fleet. The row in circuit_breaker_states is what all workers go by;
-- whoever changes it locks it first, and tells the others by NOTIFY at its commit. Times are of this
-- server's clock, and travel as seconds that remain.

ALTER TABLE circuit_breaker_states
    DROP CONSTRAINT circuit_breaker_states_state_check,
    ADD CONSTRAINT circuit_breaker_states_state_check CHECK (
        state IN ('closed', 'open', 'half_open', 'forced_open', 'disabled', 'metrics_only')
    ),
    DROP COLUMN permits,
    DROP COLUMN votes,
    DROP COLUMN options,
    ADD COLUMN reason text;
COMMENT ON COLUMN circuit_breaker_states.reason IS 'What made it enter its state.';

CREATE TABLE circuit_breaker_votes (
    service_name text NOT NULL,
    worker_id text NOT NULL,
    epoch bigint NOT NULL,
    call_count int NOT NULL CHECK (call_count >= 0),
    failure_count int NOT NULL CHECK (failure_count >= 0),
    slow_count int NOT NULL CHECK (slow_count >= 0),
    called_at timestamptz NOT NULL,
    PRIMARY KEY (service_name, worker_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE circuit_breaker_votes IS 'What each worker sees of a service: its own window of calls, a row each.';
COMMENT ON COLUMN circuit_breaker_votes.service_name IS 'The breaker''s name.';
COMMENT ON COLUMN circuit_breaker_votes.worker_id IS 'The worker: host, process id and a random part.';
COMMENT ON COLUMN circuit_breaker_votes.epoch IS 'The state that its counts belong to; those of an older one count nothing.';
COMMENT ON COLUMN circuit_breaker_votes.call_count IS 'Calls in its window.';
COMMENT ON COLUMN circuit_breaker_votes.failure_count IS 'Failed ones among them.';
COMMENT ON COLUMN circuit_breaker_votes.slow_count IS 'Slow ones among them.';
COMMENT ON COLUMN circuit_breaker_votes.called_at IS 'When it last called the service, or joined.';

CREATE TABLE circuit_breaker_permits (
    permit_id uuid PRIMARY KEY,
    service_name text NOT NULL,
    worker_id text NOT NULL,
    epoch bigint NOT NULL,
    lease_until timestamptz NOT NULL
);
COMMENT ON TABLE circuit_breaker_permits IS 'Trial calls under way in half-open.';
COMMENT ON COLUMN circuit_breaker_permits.permit_id IS 'Key, a UUIDv7 made by the client.';
COMMENT ON COLUMN circuit_breaker_permits.service_name IS 'The breaker''s name.';
COMMENT ON COLUMN circuit_breaker_permits.worker_id IS 'The worker that makes the call.';
COMMENT ON COLUMN circuit_breaker_permits.epoch IS 'The half-open state that it belongs to.';
COMMENT ON COLUMN circuit_breaker_permits.lease_until IS 'When it may be given to another; its worker renews it while it lives.';
CREATE INDEX circuit_breaker_permits_service ON circuit_breaker_permits (service_name);

-- A state as the workers read it.
CREATE FUNCTION circuit_breaker_message(s circuit_breaker_states) RETURNS json
LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS $$
    SELECT json_build_object(
        'schema', current_schema(),
        'service_name', s.service_name,
        'state', s.state,
        'epoch', s.epoch,
        'open_seconds', CASE WHEN s.state = 'open' THEN
            greatest(0, extract(epoch FROM s.open_until - clock_timestamp())) ELSE 0 END,
        'reason', left(s.reason, 200)
    );
$$;

-- Enter a state: the one place where an epoch grows. The caller holds the row.
CREATE FUNCTION circuit_breaker_enter(
    service text, new_state text, seconds float8, why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states;
    opens boolean := new_state = 'open';
BEGIN
    UPDATE circuit_breaker_states b
    SET state = new_state,
        epoch = b.epoch + 1,
        opened_count = CASE WHEN opens THEN b.opened_count + 1
                            WHEN new_state = 'half_open' THEN b.opened_count ELSE 0 END,
        opened_at = CASE WHEN opens THEN clock_timestamp() ELSE b.opened_at END,
        open_until = CASE WHEN opens THEN clock_timestamp() + make_interval(secs => seconds)
                          WHEN new_state = 'half_open' THEN b.open_until END,
        reason = why,
        updated_at = clock_timestamp()
    WHERE b.service_name = service
    RETURNING * INTO STRICT s;
    DELETE FROM circuit_breaker_permits p WHERE p.service_name = service;
    PERFORM pg_notify('seawall_circuit_breakers', circuit_breaker_message(s)::text);
    RETURN circuit_breaker_message(s);
END $$;

-- The row of a breaker, locked; made where there is none.
CREATE FUNCTION circuit_breaker_locked(service text) RETURNS circuit_breaker_states
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states;
BEGIN
    SELECT * INTO s FROM circuit_breaker_states b WHERE b.service_name = service FOR UPDATE;
    IF NOT FOUND THEN
        INSERT INTO circuit_breaker_states (service_name) VALUES (service) ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT s
        FROM circuit_breaker_states b WHERE b.service_name = service FOR UPDATE;
    END IF;
    RETURN s;
END $$;

-- Seconds of the next break: grown by the openings so far, up to a cap, spread at random.
CREATE FUNCTION circuit_breaker_break(opened_count int, rule jsonb) RETURNS float8
LANGUAGE sql IMMUTABLE AS $$
    SELECT least(
        -- An exponent that would overflow is far past any cap.
        (rule->>'timeout')::float8
            * exp(least(500, opened_count * ln((rule->>'timeout_factor')::float8))),
        greatest((rule->>'timeout')::float8, (rule->>'max_timeout')::float8)
    ) * (rule->>'spread')::float8;
$$;

-- Whether the fleet's counts open a breaker: enough failures, seen by enough workers. Those that
-- called the service lately are asked; where fewer did than the quorum, all of them must agree.
CREATE FUNCTION circuit_breaker_must_open(
    service text, now_epoch bigint, rule jsonb
) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $$
DECLARE
    calls bigint;
    failures bigint;
    slow bigint;
    failing bigint;
    callers bigint;
BEGIN
    SELECT coalesce(sum(v.call_count) FILTER (WHERE v.epoch = now_epoch), 0),
           coalesce(sum(v.failure_count) FILTER (WHERE v.epoch = now_epoch), 0),
           coalesce(sum(v.slow_count) FILTER (WHERE v.epoch = now_epoch), 0),
           count(*) FILTER (WHERE v.epoch = now_epoch AND v.failure_count + v.slow_count > 0),
           count(*)
    INTO calls, failures, slow, failing, callers
    FROM circuit_breaker_votes v
    WHERE v.service_name = service
      AND v.called_at > clock_timestamp() - make_interval(secs => (rule->>'live_seconds')::float8);
    IF failing < least((rule->>'quorum')::bigint, callers) THEN
        RETURN false;
    END IF;
    IF rule->>'failure_rate' IS NULL THEN
        RETURN failures >= (rule->>'failure_threshold')::bigint;
    END IF;
    RETURN calls >= (rule->>'minimum_calls')::bigint AND (
        100 * failures >= (rule->>'failure_rate')::float8 * calls
        OR coalesce(100 * slow >= (rule->>'slow_rate')::float8 * calls, false)
    );
END $$;

-- Keep what one worker sees.
CREATE FUNCTION circuit_breaker_keep_vote(
    service text, worker text, seen_epoch bigint, calls int, failures int, slow int, called boolean
) RETURNS void
LANGUAGE sql VOLATILE SET search_path FROM CURRENT AS $$
    INSERT INTO circuit_breaker_votes AS v
        (service_name, worker_id, epoch, call_count, failure_count, slow_count, called_at)
    VALUES (service, worker, seen_epoch, calls, failures, slow, clock_timestamp())
    ON CONFLICT (service_name, worker_id) DO UPDATE
    SET epoch = excluded.epoch,
        call_count = excluded.call_count,
        failure_count = excluded.failure_count,
        slow_count = excluded.slow_count,
        called_at = CASE WHEN called THEN excluded.called_at ELSE v.called_at END;
$$;

-- A worker's own failures have changed: keep them, and open the breaker where that is enough.
CREATE FUNCTION circuit_breaker_vote(
    service text, worker text, seen_epoch bigint, calls int, failures int, slow int, rule jsonb,
    why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states := circuit_breaker_locked(service);
BEGIN
    PERFORM circuit_breaker_keep_vote(service, worker, seen_epoch, calls, failures, slow, true);
    IF s.state = 'closed' AND s.epoch = seen_epoch AND failures + slow > 0
        AND circuit_breaker_must_open(service, s.epoch, rule)
    THEN
        RETURN circuit_breaker_enter(service, 'open', circuit_breaker_break(s.opened_count, rule), why);
    END IF;
    RETURN circuit_breaker_message(s);
END $$;

-- A permit for one trial call of the whole fleet, or the seconds after which to ask again.
CREATE FUNCTION circuit_breaker_claim(
    service text, worker text, permit uuid, permitted int, lease float8
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states := circuit_breaker_locked(service);
    message json;
    wait float8;
BEGIN
    IF s.state NOT IN ('open', 'half_open') THEN
        RETURN json_build_object('state', circuit_breaker_message(s), 'wait', 0);
    END IF;
    wait := extract(epoch FROM s.open_until - clock_timestamp());
    IF s.state = 'open' AND wait > 0 THEN
        RETURN json_build_object('state', circuit_breaker_message(s), 'wait', wait);
    END IF;
    DELETE FROM circuit_breaker_permits p
    WHERE p.service_name = service AND p.lease_until <= clock_timestamp();
    SELECT extract(epoch FROM min(p.lease_until) - clock_timestamp()) INTO wait
    FROM circuit_breaker_permits p WHERE p.service_name = service HAVING count(*) >= permitted;
    IF FOUND THEN
        RETURN json_build_object('state', circuit_breaker_message(s), 'wait', greatest(0, wait));
    END IF;
    message := circuit_breaker_message(s);
    IF s.state = 'open' THEN
        message := circuit_breaker_enter(service, 'half_open', 0, 'its time open has passed');
    END IF;
    INSERT INTO circuit_breaker_permits (permit_id, service_name, worker_id, epoch, lease_until)
    VALUES (
        permit, service, worker, (message->>'epoch')::bigint,
        clock_timestamp() + make_interval(secs => lease)
    );
    RETURN json_build_object('state', message, 'granted', true);
END $$;

-- How a trial call ended. Only the holder of a permit that has not run out decides anything.
CREATE FUNCTION circuit_breaker_settle(
    service text, permit uuid, verdict text, rule jsonb, why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    s circuit_breaker_states := circuit_breaker_locked(service);
    in_time boolean;
BEGIN
    DELETE FROM circuit_breaker_permits p
    WHERE p.permit_id = permit AND p.epoch = s.epoch
    RETURNING p.lease_until > clock_timestamp() INTO in_time;
    IF s.state = 'half_open' AND in_time THEN
        IF verdict = 'succeeded' THEN
            RETURN circuit_breaker_enter(service, 'closed', 0, why);
        ELSIF verdict = 'failed' THEN
            RETURN circuit_breaker_enter(
                service, 'open', circuit_breaker_break(s.opened_count, rule), why
            );
        END IF;
    END IF;
    IF in_time IS NOT NULL THEN  -- a permit is free
        PERFORM pg_notify('seawall_circuit_breakers', circuit_breaker_message(s)::text);
    END IF;
    RETURN circuit_breaker_message(s);
END $$;

-- An operator's will.
CREATE FUNCTION circuit_breaker_force(
    service text, new_state text, seconds float8, why text
) RETURNS json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM circuit_breaker_locked(service);
    RETURN circuit_breaker_enter(service, new_state, seconds, why);
END $$;

-- What a worker sees of all its services, and the state of all that there are.
CREATE FUNCTION circuit_breaker_sync(
    worker text, reports jsonb, forget_seconds float8
) RETURNS SETOF json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO circuit_breaker_states (service_name)
    SELECT r->>'service_name' FROM jsonb_array_elements(reports) r ORDER BY 1
    ON CONFLICT DO NOTHING;
    PERFORM circuit_breaker_keep_vote(
        r->>'service_name', worker, (r->>'epoch')::bigint, (r->>'calls')::int,
        (r->>'failures')::int, (r->>'slow')::int, (r->>'called')::boolean
    ) FROM jsonb_array_elements(reports) r;
    DELETE FROM circuit_breaker_votes v
    WHERE (v.service_name, v.worker_id) IN (
        SELECT o.service_name, o.worker_id FROM circuit_breaker_votes o
        WHERE o.called_at < clock_timestamp() - make_interval(secs => forget_seconds)
          AND o.worker_id <> worker
        FOR UPDATE SKIP LOCKED
    );
    RETURN QUERY SELECT circuit_breaker_message(s) FROM circuit_breaker_states s;
END $$;
