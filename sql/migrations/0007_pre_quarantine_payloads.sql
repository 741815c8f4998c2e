-- Payloads of quarantined records: compressed, encrypted.
SELECT;
