-- Steps of a run, and messages that commit with a batch.
SELECT;
