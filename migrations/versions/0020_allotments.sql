CREATE SEQUENCE allotments_id_seq;

ALTER TABLE variants
    ADD COLUMN allotted BIGINT DEFAULT '0' NOT NULL,
    ADD CONSTRAINT ck_variants_allotted CHECK (allotted BETWEEN 0 AND stock) NOT VALID;

CREATE TABLE allotments (
    id BIGINT DEFAULT nextval('allotments_id_seq') NOT NULL,
    variant_id BIGINT NOT NULL,
    store_id BIGINT,
    region TEXT,
    quantity BIGINT NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_by BIGINT NOT NULL,
    CONSTRAINT pk_allotments PRIMARY KEY (id),
    CONSTRAINT uq_allotments_variant_id_store_id_region UNIQUE NULLS NOT DISTINCT (variant_id, store_id, region),
    CONSTRAINT ck_allotments_whose CHECK (num_nonnulls(store_id, region) = 1),
    CONSTRAINT ck_allotments_quantity CHECK (quantity >= 0),
    CONSTRAINT fk_allotments_variant_id FOREIGN KEY(variant_id) REFERENCES variants (id),
    CONSTRAINT fk_allotments_store_id FOREIGN KEY(store_id) REFERENCES stores (id),
    CONSTRAINT fk_allotments_updated_by FOREIGN KEY(updated_by) REFERENCES accounts (id)
);

CREATE FUNCTION set_aside(variant bigint, store bigint) RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce((SELECT a.quantity FROM allotments a WHERE a.variant_id = variant AND a.store_id = store), 0)
    + coalesce((SELECT a.quantity FROM stores s JOIN allotments a ON a.variant_id = variant AND a.store_id IS NULL
                                                                   AND a.region = s.region
                WHERE s.id = store), 0);

CREATE FUNCTION sellable(stock bigint, allotted bigint, variant bigint, store bigint) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN allotted = 0 THEN stock ELSE stock - allotted + set_aside(variant, store) END;

CREATE TABLE line_allotments (
    branch_id BIGINT NOT NULL,
    order_id BIGINT NOT NULL,
    line_no BIGINT NOT NULL,
    allotment_id BIGINT NOT NULL,
    quantity BIGINT NOT NULL,
    CONSTRAINT pk_line_allotments PRIMARY KEY (branch_id, order_id, line_no, allotment_id),
    CONSTRAINT ck_line_allotments_quantity CHECK (quantity >= 1),
    CONSTRAINT fk_line_allotments_branch_id_order_id_line_no FOREIGN KEY(branch_id, order_id, line_no)
        REFERENCES order_lines (branch_id, order_id, line_no)
);

GRANT USAGE ON SEQUENCE allotments_id_seq TO s2b2c_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON allotments TO s2b2c_app;
GRANT SELECT, INSERT ON line_allotments TO s2b2c_app;
