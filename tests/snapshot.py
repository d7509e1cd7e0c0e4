"""The whole database as plain values, by natural keys: without surrogate ids and times of loading."""

from sqlalchemy import text

from s2b2c.db import Database

# What each id stands for outside this database; a table that refers to itself or to an event is named by its own key.
_NAMED = {
    "accounts": "SELECT role, (SELECT name FROM brands WHERE id = brand_id), "
    "(SELECT code FROM distributors WHERE id = distributor_id) FROM accounts",
    "brand_rules": "SELECT b.name, r.banned_words, r.floor_bps, r.disclosure FROM brand_rules r JOIN brands b ON b.id = r.brand_id",
    "brand_rules_history": "SELECT b.name, r.banned_words, r.floor_bps, r.disclosure FROM brand_rules_history r "
    "JOIN brands b ON b.id = r.brand_id",
    "brands": "SELECT name, catalogue_sha256 FROM brands",
    "claims": "SELECT c.kind, c.name, o.order_no FROM claims c JOIN orders o ON o.branch_id = c.branch_id AND o.id = c.event_id",
    "commissions": "SELECT o.order_no, l.line_no, c.position, d.code, t.code, p.code, r.base, r.level_bps, c.base_amount, c.rate_bps, "
    "c.uncapped_amount, c.amount, c.outcome, c.statement_id IS NULL FROM commissions c "
    "JOIN order_lines l ON l.branch_id = c.branch_id AND l.id = c.line_id "
    "JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id JOIN distributors d ON d.id = c.distributor_id "
    "JOIN tiers t ON t.id = c.tier_id JOIN rules r ON r.id = c.rule_id JOIN plans p ON p.id = r.plan_id",
    "customers": "SELECT ref FROM customers",
    "daily_brands": "SELECT s.slug, b.name, x.day, x.orders, x.units, x.paid, x.refunded FROM daily_brands x "
    "JOIN stores s ON s.id = x.store_id JOIN brands b ON b.id = x.brand_id",
    "daily_customers": "SELECT d.code, c.ref, x.day, x.kept FROM daily_customers x "
    "JOIN distributors d ON d.id = x.seller_id JOIN customers c ON c.id = x.customer_id",
    "daily_products": "SELECT s.slug, p.code, x.day, x.orders, x.kept, x.units, x.paid, x.refunded FROM daily_products x "
    "JOIN stores s ON s.id = x.store_id JOIN products p ON p.id = x.product_id",
    "daily_sellers": "SELECT d.code, x.day, x.orders, x.units, x.paid, x.refunded, x.kept FROM daily_sellers x "
    "JOIN distributors d ON d.id = x.seller_id",
    "distributor_history": "SELECT d.code, p.code, t.code, h.state, h.during FROM distributor_history h "
    "JOIN distributors d ON d.id = h.distributor_id JOIN tiers t ON t.id = h.tier_id "
    "LEFT JOIN distributors p ON p.id = h.parent_id",
    "distributors": "SELECT d.code, d.name, t.code, d.region, d.joined_on, d.state, b.code, "
    "ARRAY(SELECT a.code FROM unnest(d.ancestors) WITH ORDINALITY AS u (id, n) JOIN distributors a USING (id) ORDER BY n) "
    "FROM distributors d JOIN tiers t ON t.id = d.tier_id JOIN distributors b ON b.id = d.branch_id",
    "ledger_accounts": "SELECT a.kind, a.rail, b.name, d.code FROM ledger_accounts a LEFT JOIN brands b ON b.id = a.brand_id "
    "LEFT JOIN distributors d ON d.id = a.distributor_id",
    "listing_history": "SELECT s.slug, p.code, h.price, h.position, h.pitch, h.why, h.end_reason FROM listing_history h "
    "JOIN stores s ON s.id = h.store_id JOIN products p ON p.id = h.product_id",
    "listings": "SELECT s.slug, b.name, p.code, l.price, l.position, l.pitch, l.pinned, l.regions, l.segments, l.why FROM listings l JOIN stores s ON s.id = l.store_id "
    "JOIN products p ON p.id = l.product_id JOIN brands b ON b.id = p.brand_id",
    "notices": "SELECT d.code, b.name, n.kind, n.facts::text, n.read_at IS NULL FROM notices n "
    "LEFT JOIN distributors d ON d.id = n.distributor_id LEFT JOIN brands b ON b.id = n.brand_id",
    "order_lines": "SELECT o.order_no, l.line_no, b.name, v.sku, l.quantity, l.unit_price, l.discount, l.paid, l.refunded, "
    "l.supply_price, l.tier_costs, l.supply, l.commission, l.platform, l.statement_id IS NULL FROM order_lines l "
    "JOIN orders o ON o.branch_id = l.branch_id AND o.id = l.order_id JOIN brands b ON b.id = l.brand_id "
    "JOIN variants v ON v.id = l.variant_id",
    "orders": "SELECT b.code, o.order_no, s.slug, c.ref, d.code, o.state, o.placed_at, o.paid_at, o.completed_at, o.matures_at, "
    "ARRAY(SELECT a.code FROM unnest(o.upline) WITH ORDINALITY AS u (id, n) JOIN distributors a USING (id) ORDER BY n), "
    "ARRAY(SELECT t.code FROM unnest(o.upline_tiers) WITH ORDINALITY AS u (id, n) JOIN tiers t USING (id) ORDER BY n), "
    "o.upline_states, p.code FROM orders o JOIN distributors b ON b.id = o.branch_id "
    "JOIN stores s ON s.id = o.store_id JOIN customers c ON c.id = o.customer_id JOIN distributors d ON d.id = o.seller_id "
    "LEFT JOIN plans p ON p.id = o.plan_id",
    "orders_to_add": "SELECT o.order_no FROM orders_to_add w JOIN orders o ON o.branch_id = w.branch_id AND o.id = w.order_id",
    "plans": "SELECT code, version, state, during, margin_floor_bps, paid_positions, max_paid_positions FROM plans",
    "prices": "SELECT b.name, v.sku, upper_inf(p.during), lower_inf(p.during), p.supply_price, p.suggested_price, p.min_price, "
    "p.max_price, p.tier_costs FROM prices p JOIN variants v ON v.id = p.variant_id JOIN brands b ON b.id = v.brand_id",
    "products": "SELECT b.name, p.code, p.title, p.category, p.tonalities, p.audiences, p.image_url, p.state FROM products p "
    "JOIN brands b ON b.id = p.brand_id",
    "rules": "SELECT p.code, v.sku, x.code, r.category, b.name, r.scheme, r.base, r.level_bps, r.depth, r.compress FROM rules r "
    "JOIN plans p ON p.id = r.plan_id LEFT JOIN variants v ON v.id = r.variant_id LEFT JOIN products x ON x.id = r.product_id "
    "LEFT JOIN brands b ON b.id = r.brand_id",
    "scheduled_prices": "SELECT v.sku, p.starts_at, p.supply_price, p.suggested_price, p.min_price, p.max_price, p.tier_costs, "
    "p.state, p.refusal FROM scheduled_prices p JOIN variants v ON v.id = p.variant_id",
    "store_history": "SELECT s.slug, d.code, h.title, h.region, h.state, h.why FROM store_history h "
    "JOIN stores s ON s.id = h.store_id JOIN distributors d ON d.id = h.distributor_id",
    "stores": "SELECT s.slug, d.code, s.title, s.region, s.state, s.why, s.blocks::text FROM stores s JOIN distributors d ON d.id = s.distributor_id",
    "tiers": "SELECT code, rank, name, is_leader FROM tiers",
    "transfers": "SELECT o.order_no, x.source_type, x.code, da.kind, da.rail, ca.kind, cb.name, cd.code, x.amount, x.posted_at "
    "FROM transfers x JOIN orders o ON o.branch_id = x.branch_id AND o.id = x.source_id AND x.source_type = 'order' "
    "JOIN ledger_accounts da ON da.id = x.debit_account_id JOIN ledger_accounts ca ON ca.id = x.credit_account_id "
    "LEFT JOIN brands cb ON cb.id = ca.brand_id LEFT JOIN distributors cd ON cd.id = ca.distributor_id",
    "variants": "SELECT b.name, p.code, v.sku, v.options::text, v.stock, v.allotted FROM variants v JOIN products p ON p.id = v.product_id "
    "JOIN brands b ON b.id = v.brand_id",
}
_NOT_IMPORTED = {
    "addresses",
    "adjustments",
    "alembic_version",
    "allotments",
    "bindings",
    "bulk_runs",
    "clawbacks",
    "cohort_counts",
    "cohort_products",
    "disputes",
    "elimination_bindings",
    "elimination_moves",
    "elimination_stores",
    "eliminations",
    "files",
    "finance_exports",
    "identities",
    "invitations",
    "ledger_checkpoints",
    "ledger_horizon",
    "line_allotments",
    "memberships",
    "one_time_codes",
    "order_addresses",
    "payees",
    "payments",
    "payout_attempts",
    "payouts",
    "people",
    "personal_reads",
    "pgqueuer",
    "pgqueuer_log",
    "product_events",
    "product_revisions",
    "rail_breaks",
    "rail_reports",
    "ranking_exemptions",
    "ranking_policies",
    "ranking_runs",
    "ranking_scores",
    "rate_limits",
    "recruiting_codes",
    "refresh_tokens",
    "refund_lines",
    "refund_requests",
    "refunds",
    "refused_touches",
    "sales_exports",
    "seat_application_events",
    "seat_applications",
    "seats",
    "selectable_products",
    "sessions",
    "settlement_runs",
    "share_links",
    "shipment_lines",
    "shipments",
    "stale_products",
    "statements",
    "stripe_accounts",
    "stripe_events",
    "supply_orders",
    "tail_cases",
    "tail_steps",
    "tax_brackets",
    "tax_deductions",
    "withholding_policies",
    "write_offs",
}


async def snapshot(db: Database) -> dict[str, list[str]]:
    """Every table that an import may write, as sorted rows. A new table must be named here or in `_NOT_IMPORTED`."""
    async with db.snapshot() as session:
        tables = set(
            await session.scalars(
                text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
            )
        )
        assert tables == set(_NAMED) | _NOT_IMPORTED
        return {
            table: sorted(str(tuple(row)) for row in await session.execute(text(statement)))
            for table, statement in _NAMED.items()
        }
