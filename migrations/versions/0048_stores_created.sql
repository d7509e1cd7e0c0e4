ALTER TABLE stores
    DROP CONSTRAINT ck_stores_why,
    ADD CONSTRAINT ck_stores_why CHECK (why IN ('imported', 'created', 'edited', 'copied', 'eliminated', 'reinstated')) NOT VALID;

ALTER TABLE store_history
    DROP CONSTRAINT ck_store_history_why,
    ADD CONSTRAINT ck_store_history_why CHECK (why IN ('imported', 'created', 'edited', 'copied', 'eliminated', 'reinstated'))
        NOT VALID;

-- Whatever was edited was something else before; what was not, was opened.
UPDATE stores s SET why = 'created'
WHERE why = 'edited' AND NOT EXISTS (SELECT FROM store_history h WHERE h.store_id = s.id);

UPDATE store_history h SET why = 'created'
WHERE why = 'edited' AND NOT EXISTS (SELECT FROM store_history b WHERE b.store_id = h.store_id AND b.until <= h.since);
