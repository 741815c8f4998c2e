-- What people look through: runs and audit lines, the latest first. Both are written rarely.

CREATE INDEX runs_started ON runs (started_at DESC);
CREATE INDEX audit_log_subject ON audit_log (subject, acted_at DESC);
COMMENT ON TABLE quarantine_counts IS 'Records set aside and settled, to be summed: several rows may stand for one day, until a worker folds them.';
