ALTER TABLE files
    DROP CONSTRAINT ck_files_kind,
    DROP CONSTRAINT ck_files_brand,
    ADD CONSTRAINT ck_files_kind
        CHECK (kind IN ('catalogue', 'catalogue_export', 'import_report', 'finance_export', 'payout_proof', 'rail_report')) NOT VALID,
    ADD CONSTRAINT ck_files_brand CHECK ((brand_id IS NULL) = (kind IN ('finance_export', 'payout_proof', 'rail_report'))) NOT VALID;

ALTER TABLE payout_attempts
    ADD COLUMN proof_file_id BIGINT,
    ADD COLUMN created_by BIGINT,
    ADD CONSTRAINT fk_payout_attempts_created_by FOREIGN KEY(created_by) REFERENCES people (id) NOT VALID,
    ADD CONSTRAINT fk_payout_attempts_proof_file_id FOREIGN KEY(proof_file_id) REFERENCES files (id) NOT VALID,
    ADD CONSTRAINT ck_payout_attempts_proof CHECK ((rail = 'outside') = (proof_file_id IS NOT NULL)) NOT VALID;

ALTER TABLE payouts
    ADD COLUMN held_by BIGINT,
    ADD CONSTRAINT fk_payouts_held_by FOREIGN KEY(held_by) REFERENCES people (id) NOT VALID,
    ADD CONSTRAINT ck_payouts_held_by CHECK (held_by IS NULL OR hold IS NOT NULL AND hold = 'person') NOT VALID;

GRANT UPDATE (held_by) ON payouts TO s2b2c_app;

CREATE INDEX ix_payout_attempts_proof_file_id ON payout_attempts (proof_file_id) WHERE proof_file_id IS NOT NULL;
