-- name: vacancies
-- Per tier and region where somebody has left since a time, seats are open or somebody waits: most gone first. A region
-- is no number, so its hash stands in the key of a page.
WITH gone AS (
    SELECT d.tier_id, d.region, count(*) AS gone
    FROM distributor_history h
    JOIN distributors d ON d.id = h.distributor_id
    WHERE upper_inf(h.during) AND h.state IN ('suspended', 'eliminated') AND lower(h.during) >= :since
    GROUP BY d.tier_id, d.region
), wanted AS (
    SELECT s.tier_id, s.region,
           coalesce(sum(s.places - s.taken) FILTER (
               WHERE s.closed_at IS NULL AND s.opens_at <= :now AND (s.closes_at IS NULL OR s.closes_at > :now)
           ), 0)::bigint AS open_places,
           coalesce(sum(a.waiting), 0)::bigint AS waiting
    FROM seats s
    LEFT JOIN (SELECT seat_id, count(*) AS waiting FROM seat_applications WHERE state = 'submitted' GROUP BY seat_id) AS a
        ON a.seat_id = s.id
    GROUP BY s.tier_id, s.region
), place AS (
    SELECT tier_id, region, coalesce(gone, 0) AS gone, coalesce(open_places, 0) AS open_places,
           coalesce(waiting, 0) AS waiting, hashtextextended(region, 0) AS region_key
    FROM gone
    FULL JOIN wanted USING (tier_id, region)
    WHERE coalesce(gone, 0) > 0 OR open_places > 0 OR waiting > 0
)
SELECT p.tier_id, p.region, p.gone, p.open_places, p.waiting, p.region_key, coalesce(active.number, 0) AS active
FROM place p
LEFT JOIN (
    SELECT tier_id, region, count(*) AS number FROM distributors WHERE state IN ('active', 'watch') GROUP BY tier_id, region
) AS active ON active.tier_id = p.tier_id AND active.region = p.region
WHERE CAST(:after_gone AS bigint) IS NULL
   OR (p.gone, p.tier_id, p.region_key) < (CAST(:after_gone AS bigint), CAST(:after_tier AS bigint), CAST(:after_region AS bigint))
ORDER BY p.gone DESC, p.tier_id DESC, p.region_key DESC
LIMIT :limit

-- name: ranked
-- Who waits for a seat, the best first: of each criterion the rank share among them, weighed by the seat. What was
-- verified counts instead of what was declared; who was not reviewed yet counts as 0 there.
WITH waiting AS (
    SELECT a.*, s.weights_version, s.experience_bps, s.audience_bps, s.output_bps, s.review_bps
    FROM seat_applications a
    JOIN seats s ON s.id = a.seat_id
    WHERE a.seat_id = :seat_id AND a.state = 'submitted'
), compared AS (
    SELECT w.id, w.submitted_at, w.weights_version, c.*,
           count(*) OVER (PARTITION BY c.place) AS n,
           rank() OVER (PARTITION BY c.place ORDER BY c.value) - 1 AS worse,
           count(*) OVER (PARTITION BY c.place, c.value) - 1 AS equal,
           rank() OVER (PARTITION BY c.place ORDER BY c.value DESC) AS rank
    FROM waiting w
    CROSS JOIN LATERAL (VALUES
        (1, 'experience_months', coalesce(w.verified_experience_months, w.experience_months),
         w.verified_experience_months IS NOT NULL, w.experience_bps),
        (2, 'audience', coalesce(w.verified_audience, w.audience), w.verified_audience IS NOT NULL, w.audience_bps),
        (3, 'declared_output', coalesce(w.verified_output, w.declared_output), w.verified_output IS NOT NULL, w.output_bps),
        (4, 'review', coalesce(w.review, 0), w.review IS NOT NULL, w.review_bps)
    ) AS c (place, criterion, value, is_verified, weight_bps)
), shared AS (
    SELECT *, CASE WHEN n = 1 THEN 5000 ELSE 10000 * (2 * worse + equal) / (2 * (n - 1)) END AS share_bps
    FROM compared
), scored AS (
    SELECT id, submitted_at, weights_version, n AS total, sum(weight_bps * share_bps)::bigint / 10000 AS score,
           jsonb_agg(jsonb_build_object(
               'criterion', criterion, 'value', value, 'is_verified', is_verified, 'rank', rank, 'share_bps', share_bps,
               'weight_bps', weight_bps
           ) ORDER BY place) AS criteria
    FROM shared
    GROUP BY id, submitted_at, weights_version, n
), placed AS (
    SELECT *, row_number() OVER (ORDER BY score DESC, submitted_at, id) AS position,
           (extract(epoch FROM submitted_at) * 1000000)::bigint AS submitted_us
    FROM scored
)
SELECT id, position, total, score, weights_version, criteria, submitted_us
FROM placed
WHERE (CAST(:application_id AS bigint) IS NULL OR id = :application_id)
  AND (CAST(:after_score AS bigint) IS NULL
       OR (-score, submitted_us, id) > (-CAST(:after_score AS bigint), CAST(:after_us AS bigint), CAST(:after_id AS bigint)))
ORDER BY position
LIMIT :limit

-- name: onboarding
-- What a distributor has done of what a newcomer has to do, and when where that is known.
SELECT step, is_done, at
FROM (VALUES
    (1, 'payee_told', EXISTS (SELECT FROM payees WHERE distributor_id = :distributor_id),
     (SELECT updated_at FROM payees WHERE distributor_id = :distributor_id)),
    (2, 'store_open', EXISTS (SELECT FROM stores WHERE distributor_id = :distributor_id AND state = 'open'), NULL),
    (3, 'first_listing',
     EXISTS (SELECT FROM listings JOIN stores ON stores.id = listings.store_id WHERE stores.distributor_id = :distributor_id),
     (SELECT min(listings.listed_at) FROM listings JOIN stores ON stores.id = listings.store_id
      WHERE stores.distributor_id = :distributor_id)),
    (4, 'first_sale', EXISTS (SELECT FROM orders WHERE seller_id = :distributor_id AND paid_at IS NOT NULL),
     (SELECT min(paid_at) FROM orders WHERE seller_id = :distributor_id))
) AS steps (place, step, is_done, at)
ORDER BY place

-- name: forget
-- Nothing is left of what a person said of itself, nor of what was said of it; what it still waited for is withdrawn.
WITH gone AS (
    UPDATE seat_applications
    SET legal_name = NULL, region = NULL, introduction = NULL, reason = CASE WHEN reason IS NOT NULL THEN '' END,
        state = CASE state WHEN 'submitted' THEN 'withdrawn' ELSE state END, decided_at = coalesce(decided_at, :now)
    WHERE person_id = :person_id AND legal_name IS NOT NULL
    RETURNING id
), silent AS (
    UPDATE seat_application_events e SET reason = ''
    FROM gone
    WHERE e.application_id = gone.id AND e.reason IS NOT NULL
)
INSERT INTO seat_application_events (application_id, kind, at, facts)
SELECT a.id, 'withdrawn', :now, '{}'
FROM gone JOIN seat_applications a ON a.id = gone.id  -- as it was before
WHERE a.state = 'submitted'

-- name: withdraw_twins
-- Two people become one: of what both wait for on one seat the later is withdrawn, or the one that is not approved.
WITH twin AS (
    UPDATE seat_applications a SET state = 'withdrawn', decided_at = :now
    FROM seat_applications other
    WHERE a.person_id IN (:into, :person_id) AND other.person_id IN (:into, :person_id)
      AND other.person_id <> a.person_id AND other.seat_id = a.seat_id AND a.state = 'submitted'
      AND (other.state = 'approved' OR other.state = 'submitted' AND other.id < a.id)
    RETURNING a.id
)
INSERT INTO seat_application_events (application_id, kind, at, facts)
SELECT id, 'withdrawn', :now, '{}' FROM twin

-- name: change_person
-- What both are approved for stays where it is: neither can be taken back.
UPDATE seat_applications a SET person_id = :into
WHERE a.person_id = :person_id
  AND NOT (a.state = 'approved' AND EXISTS (SELECT FROM seat_applications other
                                            WHERE other.person_id = :into AND other.seat_id = a.seat_id
                                              AND other.state = 'approved'))
