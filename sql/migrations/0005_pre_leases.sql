-- Leases of checkpoints, state of sinks, history.
SELECT;
