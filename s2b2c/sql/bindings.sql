-- name: touch
-- What touches do to the bindings of their customers, each locked by a statement before this one. Takes
-- `touch` (customer_id, distributor_id, at, store_id, product_id, share_link_id), one row a customer, and gives
-- `touched` (customer_id, seller_id, outcome).
--
-- Touches count in the order in which they lock their customer. Clocks may tell them in another one, so none counts
-- before the last binding began, and none takes over at the very moment at which it began, but a microsecond later.
held_binding AS (
    SELECT t.*, b.id AS binding_id, b.distributor_id AS holder_id, b.policy AS held_under, b.protected_until,
           greatest(t.at, lower(b.during)) AS counts_at,
           greatest(t.at, lower(b.during) + interval '1 microsecond') AS begins_at
    FROM touch t
    LEFT JOIN LATERAL (
        SELECT * FROM bindings
        WHERE customer_id = t.customer_id AND during && tstzrange(t.at, NULL)
        ORDER BY lower(during) DESC
        LIMIT 1
    ) AS b ON true
), judged_touch AS (
    SELECT h.*,
           CASE WHEN binding_id IS NULL THEN 'bound'
                WHEN holder_id = distributor_id THEN 'kept'
                WHEN CAST(:policy AS text) = 'first_touch' THEN 'refused'
                WHEN CAST(:policy AS text) = 'window' AND counts_at < protected_until THEN 'refused'
                ELSE 'taken_over' END AS outcome,
           CASE CAST(:policy AS text) WHEN 'window'
                THEN CAST(:binding_days AS bigint) * interval '86400 seconds' END AS lasts,
           CASE CAST(:policy AS text) WHEN 'window'
                THEN CAST(:protection_days AS bigint) * interval '86400 seconds' END AS protects
    FROM held_binding h
), changed_binding AS (
    -- The owner's touch under `window` prolongs; a binding of another policy gives way to one that can be prolonged.
    UPDATE bindings b
    SET during = tstzrange(lower(b.during), CASE WHEN j.outcome = 'kept' AND b.policy = 'window'
                                                 THEN j.counts_at + j.lasts ELSE j.begins_at END),
        protected_until = CASE WHEN j.outcome = 'kept' AND b.policy = 'window' THEN j.counts_at + j.protects
                               ELSE b.protected_until END
    FROM judged_touch j
    WHERE b.id = j.binding_id AND b.customer_id = j.customer_id
      AND (j.outcome = 'taken_over' OR (j.outcome = 'kept' AND CAST(:policy AS text) = 'window'))
    RETURNING b.customer_id
), begun_binding AS (
    -- Joined to what was changed, so that the old range has its end before the new one is tested against it.
    INSERT INTO bindings (customer_id, distributor_id, during, protected_until, policy, share_link_id)
    SELECT j.customer_id, j.distributor_id, tstzrange(j.begins_at, j.begins_at + j.lasts), j.begins_at + j.protects,
           CAST(:policy AS text), j.share_link_id
    FROM judged_touch j
    LEFT JOIN changed_binding c ON c.customer_id = j.customer_id
    WHERE CASE j.outcome WHEN 'bound' THEN true WHEN 'taken_over' THEN c.customer_id IS NOT NULL
                         WHEN 'kept' THEN c.customer_id IS NOT NULL AND j.held_under <> 'window' END
), refused_touch AS (
    INSERT INTO refused_touches
        (customer_id, distributor_id, binding_id, at, protected_until, store_id, product_id, share_link_id)
    SELECT customer_id, distributor_id, binding_id, at,
           CASE CAST(:policy AS text) WHEN 'window' THEN protected_until END, store_id, product_id, share_link_id
    FROM judged_touch WHERE outcome = 'refused'
), touched AS (
    SELECT customer_id, CASE outcome WHEN 'refused' THEN holder_id ELSE distributor_id END AS seller_id, outcome
    FROM judged_touch
)

-- name: led
-- The open store that each `asked_store` (id, distributor_id, state) leads to: itself, or where it closed as its owner was
-- eliminated, the first one of the new home, or of that one's new home if it was eliminated later; the platform's own if
-- there is none.
home AS (
    SELECT s.id AS asked_id, e.id, e.home_id
    FROM asked_store s
    JOIN elimination_stores c ON c.store_id = s.id
    JOIN eliminations e ON e.id = c.elimination_id AND e.reinstated_at IS NULL
    WHERE s.state = 'closed'
    UNION ALL
    SELECT home.asked_id, e.id, e.home_id
    FROM home JOIN eliminations e ON e.distributor_id = home.home_id AND e.reinstated_at IS NULL AND e.id > home.id
), led AS (
    SELECT id AS asked_id, id AS store_id, distributor_id FROM asked_store WHERE state = 'open'
    UNION ALL
    SELECT last.asked_id, it.id, it.distributor_id
    FROM (SELECT DISTINCT ON (asked_id) asked_id, home_id FROM home ORDER BY asked_id, id DESC) AS last
    CROSS JOIN LATERAL (
        SELECT id, distributor_id
        FROM stores
        WHERE (distributor_id = last.home_id OR slug = CAST(:house AS text)) AND state = 'open'
        ORDER BY distributor_id IS DISTINCT FROM last.home_id, id
        LIMIT 1
    ) AS it
)

-- name: moved_to
WITH RECURSIVE asked_store AS (
    SELECT id, distributor_id, state FROM stores WHERE slug = CAST(:slug AS text)
),
-- include: bindings.led
SELECT s.slug FROM led JOIN stores s ON s.id = led.store_id WHERE led.store_id <> led.asked_id

-- name: open_link
-- The open store behind a link, and whose link it is: of who shared it while that one earns, else of the store's owner. A
-- product counts in the store that was asked for.
WITH RECURSIVE asked_store AS (
    SELECT id, distributor_id, state FROM stores WHERE slug = CAST(:slug AS text)
),
-- include: bindings.led
, opened AS (
    SELECT led.store_id, link.id AS share_link_id, coalesce(sharer.id, led.distributor_id) AS distributor_id,
           CASE WHEN led.store_id = led.asked_id THEN coalesce(CAST(:product_id AS bigint), link.product_id) END AS product_id,
           CASE WHEN CAST(:share_code AS text) IS NOT NULL AND link.id IS NULL THEN 'no link'
                WHEN led.store_id = led.asked_id
                 AND NOT coalesce(CAST(:product_id AS bigint) IN (link.product_id, l.product_id),
                                  CAST(:product_id AS bigint) IS NULL) THEN 'no product' END AS refusal
    FROM led
    LEFT JOIN share_links link ON link.code = CAST(:share_code AS text) AND link.store_id = led.asked_id
    LEFT JOIN distributors sharer ON sharer.id = link.distributor_id AND sharer.state IN ('active', 'watch')
    LEFT JOIN listings l ON l.store_id = led.store_id AND l.product_id = CAST(:product_id AS bigint)
), touch AS (
    SELECT CAST(:customer_id AS bigint) AS customer_id, distributor_id, CAST(:now AS timestamptz) AS at,
           store_id, product_id, share_link_id
    FROM opened WHERE refusal IS NULL
),
-- include: bindings.touch
SELECT opened.refusal, opened.store_id, touched.seller_id, touched.outcome
FROM opened LEFT JOIN touched ON true
