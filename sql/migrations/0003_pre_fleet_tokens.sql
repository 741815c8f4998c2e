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
    held float8 NOT NULL DEFAULT 0 CHECK (held >= 0),
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (kind, name, worker_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE fleet_token_holders IS 'The workers among which tokens are shared.';
COMMENT ON COLUMN fleet_token_holders.kind IS 'rate_limiter or retry_budget.';
COMMENT ON COLUMN fleet_token_holders.name IS 'Its name.';
COMMENT ON COLUMN fleet_token_holders.worker_id IS 'The worker: host, process id and a random part.';
COMMENT ON COLUMN fleet_token_holders.held IS 'Tokens that it has not said it spent; a budget: unused.';
COMMENT ON COLUMN fleet_token_holders.seen_at IS 'When it last asked.';

-- One worker's exchange: for each request it gets tokens, the seconds until there are more, and how
-- many workers share them. A limiter's request says how many it wants (below 0: gives back), how
-- many it holds and how many calls wait, which spend theirs at once; a budget's what was spent (below
-- 0) and given back since the last exchange.
--
-- A limiter's tokens and those that workers hold are never more than its capacity together, so that
-- the fleet's calls in any T seconds are no more than capacity + per_second * T.
CREATE FUNCTION fleet_tokens_exchange(
    worker text, requests jsonb, live_seconds float8
) RETURNS SETOF json
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    r record;
    t fleet_tokens;
    this_moment timestamptz;
    left_over float8;
    room float8;
    share float8;
    granted float8;
    others bigint;
    held_by_others float8;
BEGIN
    FOR r IN
        SELECT q.*, worker || '/' || q.part AS holder FROM jsonb_to_recordset(requests) AS q(
            kind text, name text, part int, capacity float8, per_second float8, amount float8,
            held float8, waiting float8, leaving boolean
        ) ORDER BY q.kind, q.name, q.part  -- all workers lock the rows in the same order
    LOOP
        INSERT INTO fleet_tokens (kind, name, tokens) VALUES (r.kind, r.name, r.capacity)
        ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT t FROM fleet_tokens f
        WHERE f.kind = r.kind AND f.name = r.name FOR UPDATE;
        this_moment := clock_timestamp();  -- after the wait for the row
        DELETE FROM fleet_token_holders h
        WHERE h.kind = r.kind AND h.name = r.name
          AND (h.worker_id = r.holder
               OR h.seen_at < this_moment - make_interval(secs => live_seconds));
        SELECT count(*), coalesce(sum(h.held), 0) INTO others, held_by_others
        FROM fleet_token_holders h WHERE h.kind = r.kind AND h.name = r.name;
        IF r.kind = 'rate_limiter' THEN
            room := greatest(0, r.capacity - held_by_others - r.held);
            left_over := t.tokens + greatest(0, -r.amount)
                + r.per_second * greatest(0, extract(epoch FROM this_moment - t.refilled_at));
            left_over := least(room, left_over);
            granted := floor(least(greatest(0, r.amount), left_over) + 1e-9);
            left_over := greatest(0, left_over - granted);
        ELSE
            left_over := least(r.capacity, greatest(0, t.tokens + r.amount));
            share := left_over / (others + 1);
            -- Too few for a whole one each: drawn by lot, so that the fleet can use them.
            granted := CASE WHEN share >= 1 THEN share WHEN random() < share THEN 1 ELSE 0 END;
        END IF;
        IF NOT r.leaving THEN
            INSERT INTO fleet_token_holders (kind, name, worker_id, held, seen_at)
            VALUES (r.kind, r.name, r.holder,
                    CASE WHEN r.kind = 'rate_limiter'
                         THEN greatest(0, r.held + granted - r.waiting) ELSE 0 END, this_moment);
        END IF;
        UPDATE fleet_tokens f SET tokens = left_over, refilled_at = this_moment
        WHERE f.kind = r.kind AND f.name = r.name;
        RETURN NEXT json_build_object(
            'kind', r.kind, 'name', r.name, 'part', r.part,
            'granted', granted, 'left', left_over, 'holders', others + 1,
            'wait', CASE WHEN r.kind = 'rate_limiter' AND left_over < 1
                         THEN (1 - left_over) / r.per_second ELSE 0 END
        );
    END LOOP;
END $$;
