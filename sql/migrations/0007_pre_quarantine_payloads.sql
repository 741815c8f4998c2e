-- Payloads of quarantined records: compressed, encrypted, in pieces.

ALTER TABLE quarantined_records
    ALTER COLUMN payload DROP NOT NULL,
    ADD COLUMN sealed bytea,
    ADD COLUMN key_id text,
    ADD CONSTRAINT quarantined_records_one_payload CHECK (num_nonnulls(payload, sealed) = 1);
-- It is compressed or encrypted already: the server's own try at it would be for nothing.
ALTER TABLE quarantined_records ALTER COLUMN sealed SET STORAGE EXTERNAL;
COMMENT ON COLUMN quarantined_records.payload IS 'The record, in seawall''s JSON with tags for what JSON lacks; NULL where it is sealed.';
COMMENT ON COLUMN quarantined_records.sealed IS 'The record compressed, encrypted or both: two bytes (version, how), then the data; or where its pieces are.';
COMMENT ON COLUMN quarantined_records.key_id IS 'The key that it is encrypted with; NULL where it is not encrypted.';
COMMENT ON COLUMN quarantined_records.reasons IS 'Every fault found, with the offending values; NULL where these are encrypted with the record.';

ALTER TABLE quarantine_edits
    ALTER COLUMN payload DROP NOT NULL,
    ADD COLUMN sealed bytea,
    ADD COLUMN key_id text,
    ADD CONSTRAINT quarantine_edits_one_payload CHECK (num_nonnulls(payload, sealed) = 1);
ALTER TABLE quarantine_edits ALTER COLUMN sealed SET STORAGE EXTERNAL;
COMMENT ON COLUMN quarantine_edits.sealed IS 'The payload before the edit, where it was sealed; whole, never in pieces.';
COMMENT ON COLUMN quarantine_edits.key_id IS 'The key that it is encrypted with; NULL where it is not encrypted.';

CREATE TABLE quarantine_payload_chunks (
    record_id uuid NOT NULL REFERENCES quarantined_records ON DELETE CASCADE,
    chunk int NOT NULL CHECK (chunk >= 0),
    data bytea NOT NULL,
    PRIMARY KEY (record_id, chunk)
);
ALTER TABLE quarantine_payload_chunks ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE quarantine_payload_chunks IS 'What is too large for one field: the sealed payload in pieces.';
COMMENT ON COLUMN quarantine_payload_chunks.record_id IS 'The record whose payload it is; goes with it.';
COMMENT ON COLUMN quarantine_payload_chunks.chunk IS 'Place of the piece, from 0.';
COMMENT ON COLUMN quarantine_payload_chunks.data IS 'The piece.';
