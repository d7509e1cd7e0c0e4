ALTER TABLE brands
    ADD COLUMN persona JSONB,
    ADD CONSTRAINT ck_brands_persona CHECK (jsonb_typeof(persona) = 'object');

ALTER TABLE stores
    ADD COLUMN persona JSONB,
    ADD COLUMN cover_url TEXT,
    ADD COLUMN blocks JSONB DEFAULT '[]' NOT NULL,
    ADD COLUMN blocks_version BIGINT DEFAULT '1' NOT NULL,
    ADD COLUMN opening_hours JSONB,
    ADD COLUMN is_model BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN changed_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN why TEXT DEFAULT 'imported' NOT NULL,
    ADD COLUMN account_id BIGINT,
    ADD CONSTRAINT ck_stores_persona CHECK (jsonb_typeof(persona) = 'object'),
    ADD CONSTRAINT ck_stores_blocks CHECK (jsonb_typeof(blocks) = 'array'),
    ADD CONSTRAINT ck_stores_opening_hours CHECK (jsonb_typeof(opening_hours) = 'object'),
    ADD CONSTRAINT ck_stores_why CHECK (why IN ('imported', 'edited', 'copied')),
    ADD CONSTRAINT fk_stores_account_id FOREIGN KEY(account_id) REFERENCES accounts (id);

CREATE INDEX ix_stores_id ON stores (id) WHERE is_model;

CREATE TABLE store_history (
    store_id BIGINT NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    distributor_id BIGINT NOT NULL,
    title TEXT NOT NULL,
    region TEXT NOT NULL,
    state TEXT NOT NULL,
    persona JSONB,
    cover_url TEXT,
    blocks JSONB NOT NULL,
    blocks_version BIGINT NOT NULL,
    opening_hours JSONB,
    why TEXT NOT NULL,
    account_id BIGINT,
    CONSTRAINT pk_store_history PRIMARY KEY (store_id, since),
    CONSTRAINT ck_store_history_until CHECK (since < until),
    CONSTRAINT ck_store_history_why CHECK (why IN ('imported', 'edited', 'copied')),
    CONSTRAINT fk_store_history_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_store_history_distributor_id FOREIGN KEY(distributor_id) REFERENCES distributors (id),
    CONSTRAINT fk_store_history_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE FUNCTION opens_at(opening_hours jsonb, at timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN opening_hours IS NULL THEN at ELSE (
        SELECT min(greatest((d.day + make_interval(mins => span.opens)) AT TIME ZONE 'Asia/Shanghai', at))
        FROM generate_series(0, 7 + 7 * jsonb_array_length(opening_hours -> 'closed_days')) AS n
        CROSS JOIN LATERAL (SELECT (at AT TIME ZONE 'Asia/Shanghai')::date + n AS day) AS d
        JOIN jsonb_to_recordset(opening_hours -> 'spans') AS span (day integer, opens integer, closes integer)
            ON span.day = extract(isodow FROM d.day)
        WHERE NOT opening_hours -> 'closed_days' ? to_char(d.day, 'YYYY-MM-DD')
          AND (d.day + make_interval(mins => span.closes)) AT TIME ZONE 'Asia/Shanghai' > at) END;

GRANT SELECT, INSERT ON store_history TO s2b2c_app;
