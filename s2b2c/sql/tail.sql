-- name: strike
-- Who is in the tail of a run: a case begins, or goes on, with one strike more; with the last one comes the notice. Who has
-- been suspended or has left since is not struck, nor who came back after it had left.
WITH run AS (
    SELECT format('%s – %s', lower(r.period), upper(r.period) - 1) AS period,
           upper(r.period)::timestamp AT TIME ZONE 'Asia/Shanghai' AS ended_at, p.*
    FROM ranking_runs r JOIN ranking_policies p ON p.id = r.policy_id
    WHERE r.id = :run_id
), hit AS (
    SELECT s.*, d.state AS standing, c.id AS case_id, coalesce(c.state, 'watch') AS case_state,
           coalesce(c.strikes, 0) + 1 AS count
    FROM ranking_scores s
    JOIN distributors d ON d.id = s.distributor_id AND d.state IN ('active', 'watch')
    LEFT JOIN tail_cases c ON c.distributor_id = s.distributor_id AND c.closed_at IS NULL
    WHERE s.run_id = :run_id AND s.outcome = 'tail'
      AND NOT EXISTS (
          SELECT FROM distributor_history h, run
          WHERE h.distributor_id = s.distributor_id AND h.state = 'eliminated' AND upper(h.during) > run.ended_at
      )
), judged AS (
    SELECT hit.*, case_state = 'watch' AND count >= strikes AS is_noticed,
           CAST(:now AS timestamptz) + appeal_days * interval '86400 seconds' AS until
    FROM hit CROSS JOIN run
), opened AS (
    INSERT INTO tail_cases (distributor_id, state, strikes, opened_run_id, last_run_id, opened_at, noticed_at, appeal_until)
    SELECT distributor_id, CASE WHEN is_noticed THEN 'noticed' ELSE 'watch' END, count, :run_id, :run_id, :now,
           CASE WHEN is_noticed THEN :now END, CASE WHEN is_noticed THEN until END
    FROM judged
    WHERE case_id IS NULL
    ORDER BY distributor_id
    RETURNING id, distributor_id
), struck AS (
    UPDATE tail_cases c
    SET strikes = j.count, last_run_id = :run_id,
        state = CASE WHEN is_noticed THEN 'noticed' ELSE c.state END,
        noticed_at = CASE WHEN is_noticed THEN :now ELSE c.noticed_at END,
        appeal_until = CASE WHEN is_noticed THEN until ELSE c.appeal_until END
    FROM judged j
    WHERE c.id = j.case_id
), recorded AS (
    INSERT INTO tail_steps (case_id, kind, at, run_id, person_id, strikes)
    SELECT coalesce(j.case_id, o.id),
           CASE WHEN is_noticed THEN 'noticed' WHEN j.case_id IS NULL THEN 'watched' ELSE 'struck' END,
           :now, :run_id, :by, j.count
    FROM judged j LEFT JOIN opened o USING (distributor_id)
    ORDER BY j.distributor_id
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT j.distributor_id, CASE WHEN is_noticed THEN 'ranking_noticed' ELSE 'ranking_watched' END,
           jsonb_build_object('period', run.period, 'rank', j.rank, 'members', j.members, 'strikes', j.count,
                              'limit', run.strikes, 'improve', improve.words)
           || CASE WHEN is_noticed
                   THEN jsonb_build_object('until', to_char(j.until AT TIME ZONE 'Asia/Shanghai', 'YYYY-MM-DD HH24:MI'))
                   ELSE '{}' END,
           :now
    FROM judged j
    CROSS JOIN run
    CROSS JOIN LATERAL (
        -- Where the score lost most: the two metrics with the greatest weight x missing share.
        SELECT jsonb_build_object('zh', coalesce(string_agg(zh, '、' ORDER BY lost DESC, n), '—'),
                                  'en', coalesce(string_agg(en, ', ' ORDER BY lost DESC, n), '—')) AS words
        FROM (
            SELECT m.zh, m.en, m.n, m.weight * (10000 - m.share) AS lost
            FROM unnest(
                CAST(:zh AS text[]), CAST(:en AS text[]),
                ARRAY[output_weight_bps, orders_weight_bps, customers_weight_bps, repeat_weight_bps, refund_weight_bps,
                      growth_weight_bps, sell_through_weight_bps],
                ARRAY[output_share_bps, orders_share_bps, customers_share_bps, repeat_share_bps, refund_share_bps,
                      growth_share_bps, sell_through_share_bps]
            ) WITH ORDINALITY AS m (zh, en, weight, share, n)
            WHERE m.weight * (10000 - m.share) > 0
            ORDER BY lost DESC, m.n
            LIMIT 2
        ) AS most
    ) AS improve
    ORDER BY j.distributor_id
), becoming AS (
    SELECT distributor_id AS id, 'watch' AS state, format('ranking run %s', CAST(:run_id AS bigint)) AS why
    FROM judged WHERE standing = 'active'
),
-- include: network.restated
SELECT count(*) AS struck, count(*) FILTER (WHERE is_noticed) AS noticed FROM judged

-- name: clear
-- Who is ranked and not in the tail has no strikes: the case is closed with whatever waits in it, watch is over.
WITH run AS (
    SELECT format('%s – %s', lower(period), upper(period) - 1) AS period FROM ranking_runs WHERE id = :run_id
), better AS (
    SELECT s.distributor_id, s.rank, s.members, d.state AS standing, c.id AS case_id, c.strikes
    FROM ranking_scores s
    JOIN distributors d ON d.id = s.distributor_id
    LEFT JOIN tail_cases c ON c.distributor_id = s.distributor_id AND c.closed_at IS NULL
    WHERE s.run_id = :run_id AND s.outcome = 'clear' AND (c.id IS NOT NULL OR d.state = 'watch')
), closed AS (
    UPDATE tail_cases c SET state = 'cleared', closed_at = :now FROM better b WHERE c.id = b.case_id
), recorded AS (
    INSERT INTO tail_steps (case_id, kind, at, run_id, person_id, strikes)
    SELECT case_id, 'cleared', :now, :run_id, :by, 0 FROM better WHERE case_id IS NOT NULL ORDER BY distributor_id
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT b.distributor_id, 'ranking_cleared',
           jsonb_build_object('period', run.period, 'rank', b.rank, 'members', b.members), :now
    FROM better b CROSS JOIN run
    ORDER BY b.distributor_id
), becoming AS (
    SELECT distributor_id AS id, 'active' AS state, format('ranking run %s', CAST(:run_id AS bigint)) AS why
    FROM better WHERE standing = 'watch'
),
-- include: network.restated
SELECT count(*) FROM better

-- name: decide
-- One case comes to :state, with its step and its notice; from watch its person is active again where :reactivates.
WITH decided AS (
    UPDATE tail_cases c
    SET state = :state,
        closed_at = CASE WHEN CAST(:state AS text) IN ('upheld', 'spared', 'eliminated') THEN CAST(:now AS timestamptz) END
    WHERE c.id = :case_id
    RETURNING c.id, c.distributor_id, c.strikes
), recorded AS (
    INSERT INTO tail_steps (case_id, kind, at, person_id, strikes, said)
    SELECT id, :kind, :now, :by, CASE WHEN :reactivates THEN 0 ELSE strikes END, :said FROM decided
), told AS (
    INSERT INTO notices (distributor_id, kind, facts, created_at)
    SELECT distributor_id, :notice, jsonb_build_object('reason', CAST(:said AS text)), :now
    FROM decided WHERE CAST(:notice AS text) IS NOT NULL
), becoming AS (
    SELECT d.id, 'active' AS state, CAST(:said AS text) AS why
    FROM decided JOIN distributors d ON d.id = decided.distributor_id
    WHERE :reactivates AND d.state = 'watch'
),
-- include: network.restated
SELECT distributor_id FROM decided

-- name: watch_again
WITH becoming AS (
    SELECT d.id, 'watch' AS state, CAST(NULL AS text) AS why
    FROM tail_cases c JOIN distributors d ON d.id = c.distributor_id
    WHERE c.id = :case_id AND d.state = 'active'
),
-- include: network.restated
SELECT count(*) FROM restated

-- name: tell_planned
INSERT INTO notices (distributor_id, kind, facts, created_at)
VALUES (:distributor_id, 'improvement_planned', jsonb_build_object('reason', CAST(:said AS text)), :now)

-- name: foreseen
-- What the scores of pg_temp.dry_scores would have led to, their run_id counting the periods from 1. Strikes are those since
-- the person was last ranked outside the tail; the notice comes with the last one. Nobody leaves in between.
spell AS (
    SELECT run_id AS n, distributor_id, rank, members, outcome, 2 * rank <= members AS is_above_median,
           count(*) FILTER (WHERE outcome = 'clear') OVER (PARTITION BY distributor_id ORDER BY run_id) AS spell
    FROM pg_temp.dry_scores
), struck AS (
    SELECT spell.*,
           count(*) FILTER (WHERE outcome = 'tail') OVER (PARTITION BY distributor_id, spell ORDER BY n) AS strikes
    FROM spell
), judged AS (
    SELECT struck.*, outcome = 'tail' AND strikes = CAST(:strikes AS bigint) AS is_noticed FROM struck
)

-- name: foreseen_periods
-- For each period: how many were ranked, in the tail, let off and noticed; of the tail before, how many are in it again; of
-- the tail now, how many were above the median of their cohort in the period before.
WITH
-- include: tail.foreseen
SELECT n, count(now.distributor_id) AS ranked,
       count(*) FILTER (WHERE now.outcome = 'tail') AS in_tail,
       count(*) FILTER (WHERE now.outcome = 'let_off') AS let_off,
       count(*) FILTER (WHERE now.is_noticed) AS noticed,
       count(*) FILTER (WHERE before.outcome = 'tail') AS in_tail_before,
       count(*) FILTER (WHERE before.outcome = 'tail' AND now.outcome = 'tail') AS returned,
       count(*) FILTER (WHERE now.outcome = 'tail' AND before.is_above_median) AS fallen
FROM judged AS now
FULL JOIN (SELECT n + 1 AS n, distributor_id, outcome, is_above_median FROM judged) AS before USING (n, distributor_id)
GROUP BY n
HAVING count(now.distributor_id) > 0
ORDER BY n

-- name: foreseen_hits
-- Who would have got a notice, the first time it did; and whether it was above the median in any of the periods.
WITH
-- include: tail.foreseen
, hit AS (
    SELECT distributor_id, min(n) FILTER (WHERE is_noticed) AS n, bool_or(is_above_median) AS was_above_median,
           count(*) FILTER (WHERE outcome = 'tail') AS periods_in_tail
    FROM judged
    GROUP BY distributor_id
    HAVING bool_or(is_noticed)
)
SELECT d.id, d.code, d.name, hit.n, hit.periods_in_tail, hit.was_above_median,
       count(*) OVER () AS hits, count(*) FILTER (WHERE hit.was_above_median) OVER () AS hits_above_median
FROM hit JOIN distributors d ON d.id = hit.distributor_id
ORDER BY hit.n, hit.periods_in_tail DESC, d.id
LIMIT :shown
