-- Tokens of the fleet's rate limiters and retry budgets. Workers take them in slices, ahead of need,
-- so that no call waits for the database. Times are of this server's clock.

CREATE TABLE fleet_tokens (
    kind text NOT NULL CHECK (kind IN ('rate_limiter', 'retry_budget')),
    name text NOT NULL,
    tokens float8 NOT NULL CHECK (tokens >= 0),
    refilled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, name)
) WITH (fillfactor = 70);
COMMENT ON TABLE fleet_tokens IS 'What the fleet may still spend, a row a rate limiter or retry budget.';
COMMENT ON COLUMN fleet_tokens.kind IS 'rate_limiter: filled by time; retry_budget: filled by successes.';
COMMENT ON COLUMN fleet_tokens.name IS 'Its name, the same in every worker.';
COMMENT ON COLUMN fleet_tokens.tokens IS 'Left, those that workers hold not included (a budget: all).';
COMMENT ON COLUMN fleet_tokens.refilled_at IS 'When time was last turned into tokens.';

CREATE TABLE fleet_token_holders (
    kind text NOT NULL,
    name text NOT NULL,
    worker_id text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (kind, name, worker_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE fleet_token_holders IS 'The workers among which tokens are shared.';
COMMENT ON COLUMN fleet_token_holders.kind IS 'rate_limiter or retry_budget.';
COMMENT ON COLUMN fleet_token_holders.name IS 'Its name.';
COMMENT ON COLUMN fleet_token_holders.worker_id IS 'The worker: host, process id and a random part.';
COMMENT ON COLUMN fleet_token_holders.seen_at IS 'When it last asked.';

-- One worker's exchange: for each request it gets tokens, the seconds until there are more, and how
-- many workers share them. A limiter's request says how many it wants, a budget's what was spent
-- (below 0) and given back since the last exchange.
CREATE FUNCTION fleet_tokens_exchange(
    worker text, requests jsonb, live_seconds float8
) RETURNS SETOF json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    r record;
    t fleet_tokens;
    left_over float8;
    granted float8;
    holders bigint;
BEGIN
    FOR r IN
        SELECT * FROM jsonb_to_recordset(requests) AS q(
            kind text, name text, capacity float8, per_second float8, amount float8
        ) ORDER BY q.kind, q.name  -- all workers lock the rows in the same order
    LOOP
        INSERT INTO fleet_tokens (kind, name, tokens) VALUES (r.kind, r.name, r.capacity)
        ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT t FROM fleet_tokens f
        WHERE f.kind = r.kind AND f.name = r.name FOR UPDATE;
        INSERT INTO fleet_token_holders AS h (kind, name, worker_id, seen_at)
        VALUES (r.kind, r.name, worker, clock_timestamp())
        ON CONFLICT (kind, name, worker_id) DO UPDATE SET seen_at = excluded.seen_at;
        DELETE FROM fleet_token_holders h
        WHERE h.kind = r.kind AND h.name = r.name
          AND h.seen_at < clock_timestamp() - make_interval(secs => live_seconds);
        SELECT count(*) INTO holders FROM fleet_token_holders h
        WHERE h.kind = r.kind AND h.name = r.name;
        IF r.kind = 'rate_limiter' THEN
            left_over := least(r.capacity, t.tokens
                + r.per_second * extract(epoch FROM clock_timestamp() - t.refilled_at));
            -- Tokens that a worker gives back when it leaves are a negative wish.
            granted := CASE WHEN r.amount < 0 THEN r.amount
                            ELSE floor(least(r.amount, left_over) + 1e-9) END;
            left_over := least(r.capacity, greatest(0, left_over - granted));
        ELSE
            left_over := least(r.capacity, greatest(0, t.tokens + r.amount));
            granted := left_over / holders;
        END IF;
        UPDATE fleet_tokens f SET tokens = left_over, refilled_at = clock_timestamp()
        WHERE f.kind = r.kind AND f.name = r.name;
        RETURN NEXT json_build_object(
            'kind', r.kind, 'name', r.name, 'granted', granted, 'holders', holders,
            'wait', CASE WHEN r.kind = 'rate_limiter' AND left_over < 1
                         THEN (1 - left_over) / r.per_second ELSE 0 END
        );
    END LOOP;
END $$;
