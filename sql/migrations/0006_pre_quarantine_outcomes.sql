-- Outcomes of quarantined records.
SELECT;
