"""A run from draft to approved: what statements come to, who may do what, and what the database refuses afterwards."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import ledger, models, orders, settlements
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refused, WrongState
from s2b2c.orders import Refund, RefundedLine
from s2b2c.settlements import Terms
from tests import factories
from tests.snapshot import snapshot
from tests.test_settlements import CUTOFF, NOW, PAID_AT, _chain, _completed
from tests.test_withholding import a_person

DAY = timedelta(days=1)
TERMS = Terms()


async def somebody(session: AsyncSession) -> int:
    """The id of a person."""
    person = models.Person()
    session.add(person)
    await session.flush()
    return person.id


async def adjusted(session: AsyncSession, payee: models.Distributor | models.Brand, amount: int, dated: date) -> None:
    owner = {"distributor_id": payee.id} if isinstance(payee, models.Distributor) else {"brand_id": payee.id}
    await settlements.adjust(session, **owner, amount=amount, dated=dated, reason="更正", by=None, now=NOW)


async def closed(session: AsyncSession, at: datetime, terms: Terms = TERMS) -> list[models.Statement]:
    """The statements of a run that is made, reviewed and approved at a moment."""
    settled = await settlements.settle(session, cutoff=at, now=at, terms=terms)
    assert settled is not None
    await factories.a_closed_run(session, settled.run_id, at)
    query = select(models.Statement).where(models.Statement.run_id == settled.run_id).order_by(models.Statement.id)
    return list(await session.scalars(query))


async def balance(session: AsyncSession, kind: str, owner_id: int | None = None) -> int:
    query = select(models.LedgerAccount.id).where(
        models.LedgerAccount.kind == kind, models.LedgerAccount.distributor_id.is_not_distinct_from(owner_id)
    )
    account_id = await session.scalar(query)
    return 0 if account_id is None else await ledger.balance(session, account_id)


async def test_the_worked_statement(session: AsyncSession) -> None:
    """Gross 10000, clawed 1000, tax 90, debt 6000, 5000 bps: offset 5000, payout 3910, debt 1000. Yuan."""
    await factories.a_plan(session, {"level_bps": [1000]})
    person = await a_person(session)
    store = await factories.a_store(session, person)
    # The debt is of another year; 1000 earned before in the month leave 3000 of these 9000 to be taxed.
    await adjusted(session, person, -6_000_00, date(2025, 12, 1))
    (of_debt,) = await closed(session, datetime(2025, 12, 10, tzinfo=UTC))
    assert (of_debt.net, of_debt.payout, of_debt.debt_added) == (-6_000_00, 0, 6_000_00)
    await adjusted(session, person, 1_000_00, date(2026, 9, 30))
    (before,) = await closed(session, datetime(2026, 10, 1, tzinfo=UTC))
    assert (before.withheld, before.debt_in, before.debt_offset, before.payout) == (0, 6_000_00, 0, 1_000_00)
    order = await factories.an_order(session, store, (await factories.a_variant(session), 1, 100_000_00, 0))
    await orders.pay(session, [(order.branch_id, order.id, PAID_AT)], rail="import")
    await orders.complete(session, [(order.branch_id, order.id, PAID_AT + DAY)], hold_days=7)
    line = RefundedLine(1, amount=10_000_00, goods_back=False)
    await orders.refund(session, [Refund(order.branch_id, order.id, "r", PAID_AT + 2 * DAY, [line])])

    own, brand = sorted(await closed(session, datetime(2026, 10, 20, tzinfo=UTC)), key=lambda it: it.brand_id or 0)

    assert (own.gross, own.clawbacks, own.withheld, own.debt_in, own.debt_offset) == (
        *(10_000_00, 1_000_00, 90_00, 6_000_00, 5_000_00),
    )
    assert (own.net, own.carry_in, own.payout, own.carry_out, own.debt_added) == (3_910_00, 0, 3_910_00, 0, 0)
    assert (brand.withheld, brand.payout) == (0, brand.gross - brand.clawbacks)
    assert await balance(session, "debt", person.id) == -1_000_00
    assert await balance(session, "tax_payable") == 90_00
    # Paid out later: 1000 of the first run and 3910 of this one.
    assert await balance(session, "commission_payable", person.id) == 4_910_00
    assert [it for it in await audit(session) if it.check in {"account_balances", "statement_chain"}] == []


async def test_too_little_is_carried_until_it_is_enough_or_the_payee_is_out(session: AsyncSession) -> None:
    person, terms = await factories.a_distributor(session), Terms(minimum_payout=100)
    found = []
    for month, amount in ((1, 60), (2, 39), (3, 1), (4, 99)):
        await adjusted(session, person, amount, date(2026, month, 1))
        (statement,) = await closed(session, datetime(2026, month, 10, tzinfo=UTC), terms)
        found.append((statement.carry_in, statement.net, statement.payout, statement.carry_out))
    assert found == [(0, 60, 0, 60), (60, 39, 0, 99), (99, 1, 100, 0), (0, 99, 0, 99)]
    assert await settlements.settle(session, cutoff=NOW, now=NOW, terms=terms) is None
    person.state = "eliminated"
    other = await factories.a_distributor(session)
    await session.flush()
    await adjusted(session, other, 1, date(2026, 5, 1))
    final, _ = await closed(session, datetime(2026, 5, 10, tzinfo=UTC), terms)
    assert (final.is_final, final.lines, final.carry_in, final.net, final.payout, final.carry_out) == (
        *(True, 0, 99, 0, 99, 0),
    )


async def test_a_carry_goes_into_a_debt_and_a_brand_carries_what_is_below_nothing(session: AsyncSession) -> None:
    person, variant = await factories.a_distributor(session), await factories.a_variant(session)
    brand, terms = await session.get_one(models.Brand, variant.brand_id), Terms(minimum_payout=100)
    found = []
    for month, amount in ((1, 60), (2, -100), (3, 150)):
        for payee in (person, brand):
            await adjusted(session, payee, amount, date(2026, month, 1))
        statements = await closed(session, datetime(2026, month, 10, tzinfo=UTC), terms)
        found.append([(it.carry_in, it.payout, it.carry_out, it.debt_added) for it in statements])
    assert found == [
        [(0, 0, 60, 0), (0, 0, 60, 0)],
        [(60, 0, 0, 40), (60, 0, -40, 0)],
        # Nothing of it is gross, so nothing pays off the debt.
        [(0, 150, 0, 0), (-40, 110, 0, 0)],
    ]
    assert await balance(session, "debt", person.id) == -40
    assert [it for it in await audit(session) if it.check in {"account_balances", "statement_chain"}] == []


async def test_a_draft_reserves_and_discarding_frees(db: Database) -> None:
    async with db.write() as session:
        await factories.a_plan(session, {"level_bps": [1200, 300]})
        store, variant = await _chain(session), await factories.a_variant(session)
        order = await _completed(session, store, variant)
        back = RefundedLine(1, quantity=1, goods_back=True)
        await orders.refund(session, [Refund(order.branch_id, order.id, "r", CUTOFF - DAY, [back])])
        await adjusted(session, await session.get_one(models.Distributor, store.distributor_id), 5, date(2026, 9, 1))
    before = await snapshot(db)
    async with db.write() as session:
        first = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
        assert first is not None
    made = await _amounts(db)
    async with db.write() as session:
        await settlements.review(session, first.run_id, now=NOW, by=None)
        await settlements.discard(session, first.run_id, now=NOW, by=None)
    after = await snapshot(db)
    assert {table for table in before if before[table] != after[table]} == {"notices"}
    assert await _amounts(db) == []
    async with db.write() as session:
        again = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
        assert again is not None
    assert await _amounts(db) == made
    async with db.snapshot() as session:
        assert [it for it in await audit(session) if "settle" in it.check or "statement" in it.check] == []


async def _amounts(db: Database) -> list[tuple[object, ...]]:
    it = models.Statement
    query = select(it.distributor_id, it.brand_id, it.lines, it.gross, it.clawbacks, it.adjustments, it.net)
    async with db.read() as session:
        return [tuple(row) for row in await session.execute(query.order_by(it.id))]


async def test_two_people_close_a_run_one_step_after_the_other(session: AsyncSession) -> None:
    maker, other = await somebody(session), await somebody(session)
    await adjusted(session, await factories.a_distributor(session), 5, date(2026, 9, 1))
    settled = await settlements.settle(session, cutoff=CUTOFF, now=NOW, by=maker)
    assert settled is not None
    run_id = settled.run_id
    await adjusted(session, await factories.a_distributor(session), 5, date(2026, 9, 1))

    async def refuses(refusal: type, attempt: object) -> None:
        with pytest.raises(Refused) as refused:
            await attempt  # type: ignore[misc]  # a coroutine
        assert isinstance(refused.value.refusal, refusal)

    await refuses(WrongState, settlements.settle(session, cutoff=CUTOFF, now=NOW))
    await refuses(WrongState, settlements.approve(session, run_id, now=NOW, by=other))
    run = await settlements.review(session, run_id, now=NOW, by=maker)
    assert (run.state, run.reviewed_by) == ("reviewed", maker)
    await refuses(WrongState, settlements.review(session, run_id, now=NOW, by=maker))
    await refuses(WrongState, settlements.approve(session, run_id, now=NOW, by=maker))
    run = await settlements.approve(session, run_id, now=NOW, by=other)
    assert (run.state, run.created_by, run.approved_by) == ("approved", maker, other)
    await refuses(WrongState, settlements.discard(session, run_id, now=NOW, by=other))
    await refuses(NotFound, settlements.discard(session, 10**9, now=NOW, by=other))
    assert await settlements.settle(session, cutoff=CUTOFF, now=NOW) is not None


@pytest.mark.parametrize("days", [-2, 63])
async def test_the_day_of_payment_lies_behind_the_cutoff(session: AsyncSession, days: int) -> None:
    with pytest.raises(Refused) as refused:
        await settlements.settle(session, cutoff=CUTOFF, now=NOW, pay_on=(NOW + days * DAY).date())
    assert isinstance(refused.value.refusal, BadArgument)


CLOSED = (
    "UPDATE commissions SET statement_id = NULL",
    "UPDATE clawbacks SET statement_id = NULL",
    "UPDATE order_lines SET statement_id = NULL",
    "UPDATE refund_lines SET statement_id = NULL",
    "UPDATE adjustments SET statement_id = NULL",
    "UPDATE statements SET gross = gross + 1, net = net + 1, payout = payout + 1",
    "DELETE FROM statements",
    "UPDATE settlement_runs SET state = 'draft', approved_at = NULL, reviewed_at = NULL",
    "UPDATE settlement_runs SET cutoff = cutoff - interval '1 day'",
)


@pytest.mark.parametrize("statement", CLOSED)
async def test_the_database_refuses_to_change_what_is_closed(session: AsyncSession, statement: str) -> None:
    """Whoever asks for it, the owner of the tables too."""
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    store = await _chain(session)
    order = await _completed(session, store, await factories.a_variant(session))
    back = RefundedLine(1, quantity=1, goods_back=True)
    await orders.refund(session, [Refund(order.branch_id, order.id, "r", CUTOFF - DAY, [back])])
    await adjusted(session, await session.get_one(models.Distributor, store.distributor_id), 5, date(2026, 9, 1))
    await closed(session, CUTOFF)
    await session.execute(text("SET LOCAL ROLE NONE"))
    with pytest.raises(IntegrityError, match="is closed"):
        await session.execute(text(statement))


async def test_a_debt_is_given_up_by_two_people(session: AsyncSession) -> None:
    asks, approves = await somebody(session), await somebody(session)
    person = await factories.a_distributor(session)
    await adjusted(session, person, -100, date(2026, 1, 1))
    await closed(session, datetime(2026, 1, 10, tzinfo=UTC))
    now = datetime(2026, 1, 11, tzinfo=UTC)
    for refusal, whose, amount in ((WrongState, person.id, 101), (BadArgument, person.id, 0), (NotFound, 10**9, 1)):
        with pytest.raises(Refused) as refused:
            await settlements.write_off(session, whose, amount, "无法追回", by=asks, now=now)
        assert isinstance(refused.value.refusal, refusal)
    asked = await settlements.write_off(session, person.id, 70, "无法追回", by=asks, now=now)
    twice = await settlements.write_off(session, person.id, 70, "无法追回", by=asks, now=now)
    assert await balance(session, "debt", person.id) == -100
    with pytest.raises(Refused, match="ask somebody else"):
        await settlements.approve_write_off(session, asked.id, by=asks, now=now)
    await settlements.approve_write_off(session, asked.id, by=approves, now=now)
    for write_off in (asked, twice):
        with pytest.raises(Refused):
            await settlements.approve_write_off(session, write_off.id, by=approves, now=now)
    assert (await balance(session, "debt", person.id), await balance(session, "write_off")) == (-30, -70)
    await adjusted(session, person, -5, date(2026, 2, 1))
    (statement,) = await closed(session, datetime(2026, 2, 10, tzinfo=UTC))
    assert (statement.debt_in, statement.debt_added) == (30, 5)
    assert [it for it in await audit(session) if it.check in {"account_balances", "statement_chain"}] == []


async def test_no_debt_is_given_up_while_a_run_rests_on_it(session: AsyncSession) -> None:
    asks, approves = await somebody(session), await somebody(session)
    person = await factories.a_distributor(session)
    await adjusted(session, person, -100, date(2026, 1, 1))
    await closed(session, datetime(2026, 1, 10, tzinfo=UTC))
    asked = await settlements.write_off(session, person.id, 70, "无法追回", by=asks, now=NOW)
    await adjusted(session, person, 10, date(2026, 2, 1))
    settled = await settlements.settle(session, cutoff=NOW, now=NOW)
    assert settled is not None
    with pytest.raises(Refused, match="rests on the debts"):
        await settlements.approve_write_off(session, asked.id, by=approves, now=NOW)
    await settlements.discard(session, settled.run_id, now=NOW, by=None)
    await settlements.approve_write_off(session, asked.id, by=approves, now=NOW)


async def test_what_cannot_be_adjusted(session: AsyncSession) -> None:
    person = (await factories.a_distributor(session)).id
    for refusal, whose, amount, reason in (
        (BadArgument, person, 0, "更正"),
        (BadArgument, person, 10**12 + 1, "更正"),
        (BadArgument, person, 1, " "),
        (BadArgument, person, 1, "\x00"),
        (NotFound, 10**9, 1, "更正"),
    ):
        with pytest.raises(Refused) as refused:
            await settlements.adjust(
                session,
                distributor_id=whose,
                amount=amount,
                dated=NOW.date(),
                reason=reason,
                by=None,
                now=NOW,
            )
        assert isinstance(refused.value.refusal, refusal)
    assert (await session.scalars(select(models.Adjustment))).all() == []


async def test_what_is_dated_later_waits(session: AsyncSession) -> None:
    person = await factories.a_distributor(session)
    await adjusted(session, person, 7, date(2026, 10, 1))
    midnight = datetime(2026, 9, 30, 16, tzinfo=UTC)
    assert await settlements.settle(session, cutoff=midnight, now=NOW) is None
    assert await settlements.settle(session, cutoff=midnight + timedelta(seconds=1), now=NOW) is not None
