"""A payee disputes its statement: who may, when, what leaves the run, and where all of it is paid."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, notices, orders, settlements
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.orders import Refund, RefundedLine
from tests import factories
from tests.snapshot import snapshot
from tests.test_closing import somebody
from tests.test_settlements import CUTOFF, NOW, _chain, _completed

DAY = timedelta(days=1)
HALF = RefundedLine(1, quantity=1, goods_back=True)
CHECKS = {
    *("settled_refunds", "half_settled", "settlement_runs", "disputes", "statement_totals", "statement_chain"),
    *("statement_payees", "settled_early", "account_balances"),
}


class Reviewed(NamedTuple):
    """One order of 9899 with one of two units refunded, in a run that is reviewed."""

    run_id: int
    seller: models.Statement
    parent: models.Statement
    brand: models.Statement


async def reviewed(session: AsyncSession) -> Reviewed:
    await factories.a_plan(session, {"level_bps": [1200, 300]})
    order = await _completed(session, await _chain(session), await factories.a_variant(session, supply_price=2600))
    await orders.refund(session, [Refund(order.branch_id, order.id, "r", CUTOFF - DAY, [HALF])])
    settled = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
    assert settled is not None
    await settlements.review(session, settled.run_id, now=NOW, by=None)
    query = select(models.Statement).where(models.Statement.run_id == settled.run_id)
    made = (await session.scalars(query.order_by(models.Statement.gross))).all()
    parent, seller, brand = made
    assert [(it.gross, it.clawbacks) for it in (seller, parent, brand)] == [(1187, 593), (296, 147), (5200, 2600)]
    return Reviewed(settled.run_id, seller, parent, brand)


def _payee(statement: models.Statement) -> dict[str, Any]:
    return {"distributor_id": statement.distributor_id, "brand_id": statement.brand_id}


async def disputed(session: AsyncSession, statement: models.Statement) -> int:
    row = await settlements.dispute(session, statement.id, "少算一单", **_payee(statement), by=None, now=NOW)
    return int(row.id)


async def amounts(session: AsyncSession, run_id: int) -> list[tuple[int, int, int, int]]:
    query = select(models.Statement).where(models.Statement.run_id == run_id).order_by(models.Statement.gross)
    return [(it.lines, it.gross, it.clawbacks, it.adjustments) for it in await session.scalars(query)]


async def again(session: AsyncSession, at: datetime = NOW) -> int | None:
    """The next run, reviewed and approved."""
    settled = await settlements.settle(session, cutoff=CUTOFF, now=at)
    if settled is None:
        return None
    await factories.a_closed_run(session, settled.run_id, at)
    return settled.run_id


async def is_sound(session: AsyncSession) -> None:
    assert [it for it in await audit(session) if it.check in CHECKS] == []


async def told(session: AsyncSession, statement: models.Statement) -> list[str]:
    owner = {"distributor_id": statement.distributor_id, "brand_id": statement.brand_id}
    rows = await session.scalars(select(models.Notice).filter_by(**owner).order_by(models.Notice.id))
    return [notices.words(it.kind, it.facts, "en") for it in rows if it.kind != "statement_ready"]


@pytest.mark.parametrize(
    ("who", "left", "came"),
    [
        ("seller", [(2, 296, 147, 0), (2, 5200, 2600, 0)], (2, 1187, 593, 0)),
        ("parent", [(2, 1187, 593, 0), (2, 5200, 2600, 0)], (2, 296, 147, 0)),
        ("brand", [(2, 296, 147, 0), (2, 1187, 593, 0)], (2, 5200, 2600, 0)),
    ],
)
async def test_an_open_dispute_takes_the_statement_out_and_the_next_run_pays_it(
    session: AsyncSession, who: str, left: list[tuple[int, ...]], came: tuple[int, ...]
) -> None:
    made = await reviewed(session)
    statement = getattr(made, who)
    dispute_id = await disputed(session, statement)
    await is_sound(session)
    await settlements.approve(session, made.run_id, now=NOW, by=None)
    assert await amounts(session, made.run_id) == left
    await is_sound(session)
    assert len(await told(session, statement)) == 1
    assert "is not paid now" in (await told(session, statement))[0]
    next_run = await again(session)
    assert next_run is not None
    assert await amounts(session, next_run) == [came]
    await is_sound(session)
    assert await again(session) is None
    # Still to be answered, with money.
    row = await settlements.answer(session, dispute_id, "补一单", amount=500, dated=date(2026, 9, 30), by=None, now=NOW)
    assert (row.outcome, row.adjusted, row.adjusted_on, row.statement_id, row.left_at) == (
        *("accepted", 500, date(2026, 9, 30), None, NOW),
    )
    last = await again(session)
    assert last is not None
    assert await amounts(session, last) == [(0, 0, 0, 500)]
    await is_sound(session)


async def test_a_rejected_dispute_leaves_the_statement_where_it_is(session: AsyncSession) -> None:
    made = await reviewed(session)
    dispute_id = await disputed(session, made.seller)
    row = await settlements.answer(session, dispute_id, "已核对", by=None, now=NOW)
    assert (row.outcome, row.answer, row.adjusted, row.run.id) == ("rejected", "已核对", None, made.run_id)
    await settlements.approve(session, made.run_id, now=NOW, by=None)
    assert await amounts(session, made.run_id) == [(2, 296, 147, 0), (2, 1187, 593, 0), (2, 5200, 2600, 0)]
    assert await told(session, made.seller) == [
        "Your dispute of the statement up to 2026-10-01 08:00 was rejected: 已核对"
    ]
    assert await again(session) is None
    await is_sound(session)


async def test_an_accepted_one_comes_in_the_next_run_with_its_adjustment(session: AsyncSession) -> None:
    made = await reviewed(session)
    dispute_id = await disputed(session, made.seller)
    await settlements.answer(session, dispute_id, "补", amount=-94, dated=date(2026, 9, 1), by=None, now=NOW)
    await settlements.approve(session, made.run_id, now=NOW, by=None)
    next_run = await again(session)
    assert next_run is not None
    assert await amounts(session, next_run) == [(2, 1187, 593, -94)]
    assert await told(session, made.seller) == [
        "Your dispute of the statement up to 2026-10-01 08:00 was accepted, by -0.94 yuan: 补",
        "The statement up to 2026-10-01 08:00 that you dispute (5.94 yuan) is not paid now: all of it comes with the next.",
    ]
    await is_sound(session)


async def test_all_disputed_again_and_again(session: AsyncSession) -> None:
    """Nobody is left in the first run; in the second the brand disputes once more, and the third has the rest."""
    made = await reviewed(session)
    for statement in (made.seller, made.parent, made.brand):
        await disputed(session, statement)
    await settlements.approve(session, made.run_id, now=NOW, by=None)
    assert await amounts(session, made.run_id) == []
    await is_sound(session)
    second = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
    assert second is not None
    assert (second.distributors.lines, second.brands.lines) == (4, 2)
    await settlements.review(session, second.run_id, now=NOW, by=None)
    brand = await session.scalar(
        select(models.Statement).where(models.Statement.run_id == second.run_id, models.Statement.brand_id.is_not(None))
    )
    assert brand is not None
    await disputed(session, brand)
    await settlements.approve(session, second.run_id, now=NOW, by=None)
    assert await amounts(session, second.run_id) == [(2, 296, 147, 0), (2, 1187, 593, 0)]
    await is_sound(session)
    third = await again(session)
    assert third is not None
    assert await amounts(session, third) == [(2, 5200, 2600, 0)]
    await is_sound(session)


async def test_a_run_that_took_what_had_left_can_be_discarded(session: AsyncSession) -> None:
    made = await reviewed(session)
    await disputed(session, made.seller)
    await disputed(session, made.brand)
    await settlements.approve(session, made.run_id, now=NOW, by=None)
    second = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
    assert second is not None
    await settlements.discard(session, second.run_id, now=NOW, by=None)
    await is_sound(session)
    third = await again(session)
    assert third is not None
    assert await amounts(session, third) == [(2, 1187, 593, 0), (2, 5200, 2600, 0)]
    await is_sound(session)


async def test_a_discarded_run_leaves_its_disputes_to_be_answered(session: AsyncSession) -> None:
    made = await reviewed(session)
    dispute_id = await disputed(session, made.parent)
    await settlements.discard(session, made.run_id, now=NOW, by=None)
    (row,) = await settlements.disputes(session, waiting_only=True, after=None, limit=10)
    assert (row.id, row.statement_id, row.left_at, row.run.state) == (dispute_id, None, None, "discarded")
    assert await told(session, made.parent) == [
        "Your statement up to 2026-10-01 08:00 was withdrawn; another one follows."
    ]
    await settlements.answer(session, dispute_id, "见新结算单", by=None, now=NOW)
    assert await settlements.disputes(session, waiting_only=True, after=None, limit=10) == []
    await is_sound(session)


async def test_what_is_refused_changes_nothing(db: Database) -> None:
    async with db.write() as session:
        made = await reviewed(session)
        dispute_id = await disputed(session, made.seller)
        await settlements.answer(session, dispute_id, "否", by=None, now=NOW)
    before = await snapshot(db)

    async def refused(kind: type[Refusal], doing: Any) -> None:
        with pytest.raises(Refused) as caught:
            async with db.write() as session:
                await doing(session)
        assert isinstance(caught.value.refusal, kind)

    async def say(session: AsyncSession, statement: models.Statement, reason: str = "错", **payee: int) -> None:
        owner = payee or _payee(statement)
        await settlements.dispute(session, statement.id, reason, **owner, by=None, now=NOW)

    other = made.parent.distributor_id
    assert other is not None
    await refused(WrongState, lambda session: say(session, made.seller))  # once
    await refused(NotFound, lambda session: say(session, made.seller, distributor_id=other))
    await refused(NotFound, lambda session: say(session, made.brand, distributor_id=other))
    for reason in ("", " ", "x" * 501, "a\nb"):
        await refused(BadArgument, lambda session, reason=reason: say(session, made.parent, reason))
    answer = settlements.answer
    await refused(WrongState, lambda session: answer(session, dispute_id, "是", by=None, now=NOW))
    await refused(NotFound, lambda session: answer(session, dispute_id + 1, "是", by=None, now=NOW))
    await refused(BadArgument, lambda session: answer(session, dispute_id, "", by=None, now=NOW))
    assert await snapshot(db) == before

    async with db.write() as session:
        await settlements.approve(session, made.run_id, now=NOW, by=None)
    await refused(WrongState, lambda session: say(session, made.parent))
    async with db.write() as session:
        store = await factories.a_store(session)
        await settlements.adjust(
            session, distributor_id=store.distributor_id, amount=1, dated=date(2026, 9, 1), reason="x", by=None, now=NOW
        )
        draft = await settlements.settle(session, cutoff=CUTOFF, now=NOW)
        assert draft is not None
        mine = await session.scalar(select(models.Statement).where(models.Statement.run_id == draft.run_id))
        assert mine is not None
    await refused(NotFound, lambda session: say(session, mine))  # nobody sees a draft


async def test_an_accepted_one_of_nothing_is_refused(db: Database) -> None:
    async with db.write() as session:
        made = await reviewed(session)
        dispute_id = await disputed(session, made.seller)
    with pytest.raises(Refused, match="not 0"):
        async with db.write() as session:
            await settlements.answer(session, dispute_id, "是", amount=0, by=None, now=NOW)
    async with db.read() as session:
        assert await session.scalar(select(func.count()).select_from(models.Adjustment)) == 0
        assert await session.scalar(select(models.Dispute.outcome)) is None


async def test_lists_of_disputes_in_pages(session: AsyncSession) -> None:
    made = await reviewed(session)
    by = await somebody(session)
    ids = [await disputed(session, it) for it in (made.seller, made.brand)]
    await settlements.answer(session, ids[0], "否", by=by, now=NOW)
    everything = await settlements.disputes(session, waiting_only=False, after=None, limit=1)
    assert [(it.id, it.payee, it.payee_id, it.answered_by) for it in everything] == [
        (ids[0], "distributor", made.seller.distributor_id, by)
    ]
    (second,) = await settlements.disputes(session, waiting_only=False, after=(ids[0],), limit=9)
    assert (second.id, second.payee, second.payee_id, second.outcome) == (ids[1], "brand", made.brand.brand_id, None)
    assert await settlements.disputes(session, waiting_only=True, after=(ids[1],), limit=9) == []
    own = await settlements.own_disputes(session, brand_id=made.brand.brand_id, after=None, limit=9)
    assert [it.id for it in own] == [ids[1]]
    assert set(await settlements.disputes_of(session, [made.seller.id, made.parent.id])) == {made.seller.id}


async def test_income_by_quarter_and_by_month(session: AsyncSession) -> None:
    """100.00 in January, 200.00 - 50.00 in March twice a month, 7.00 in April; a draft is no income."""
    one, two = await factories.a_distributor(session), await factories.a_distributor(session)

    async def paid(payee: models.Distributor, amount: int, on: date) -> None:
        at = datetime(on.year, on.month, on.day, 4, tzinfo=UTC)
        await settlements.adjust(session, distributor_id=payee.id, amount=amount, dated=on, reason="x", by=None, now=at)
        settled = await settlements.settle(session, cutoff=at, now=at)
        assert settled is not None
        await factories.a_closed_run(session, settled.run_id, at)

    for amount, on in ((10000, date(2026, 1, 5)), (20000, date(2026, 3, 1)), (-5000, date(2026, 3, 31))):
        await paid(one, amount, on)
    await paid(two, 700, date(2026, 3, 31))
    await paid(one, 700, date(2026, 4, 1))
    await settlements.adjust(
        session, distributor_id=one.id, amount=9, dated=date(2026, 4, 2), reason="x", by=None, now=NOW
    )
    assert await settlements.settle(session, cutoff=NOW, now=NOW, pay_on=NOW.date()) is not None

    quarter = await settlements.income_of_quarter(session, 2026, 1, after=None, limit=10)
    assert [(it.distributor.id, it.withholding, it.income, it.withheld) for it in quarter] == [
        (one.id, "none", 25000, 0),
        (two.id, "none", 700, 0),
    ]
    first = await settlements.income_of_quarter(session, 2026, 1, after=None, limit=1)
    rest = await settlements.income_of_quarter(session, 2026, 1, after=(one.id,), limit=1)
    assert [*first, *rest] == quarter
    (spring,) = await settlements.income_of_quarter(session, 2026, 2, after=None, limit=10)
    assert (spring.distributor.id, spring.income) == (one.id, 700)
    assert await settlements.income_of_quarter(session, 2026, 4, after=None, limit=10) == []
    assert [tuple(it) for it in await settlements.income_of_year(session, one.id, 2026)] == [
        (date(2026, 1, 1), 10000, 0, 10000, 0),
        (date(2026, 3, 1), 15000, 0, 25000, 0),
        (date(2026, 4, 1), 700, 0, 25700, 0),
    ]
    assert await settlements.income_of_year(session, one.id, 2025) == []
    for year, quarter_no in ((2026, 0), (2026, 5), (0, 1), (9999, 1)):
        with pytest.raises(Refused):
            await settlements.income_of_quarter(session, year, quarter_no, after=None, limit=1)


async def test_debts_and_write_offs(session: AsyncSession) -> None:
    one, two = await factories.a_distributor(session), await factories.a_distributor(session)
    for payee, amount in ((one, -500), (two, -300)):
        await settlements.adjust(
            session, distributor_id=payee.id, amount=amount, dated=date(2026, 9, 1), reason="x", by=None, now=NOW
        )
    assert await again(session) is not None
    maker, other = await somebody(session), await somebody(session)
    asked = await settlements.write_off(session, one.id, 200, "坏账", by=maker, now=NOW)
    (row,) = await settlements.write_offs(session, waiting_only=True, after=None, limit=9)
    assert (row.id, row.amount, row.created_by, row.distributor.code) == (asked.id, 200, maker, one.code)
    await settlements.approve_write_off(session, asked.id, by=other, now=NOW)
    assert await settlements.write_offs(session, waiting_only=True, after=None, limit=9) == []
    assert (await settlements.write_off_row(session, asked.id)).approved_by == other
    debts = await settlements.debts(session, after=None, limit=9)
    assert [(it.distributor.id, it.amount) for it in debts] == [(one.id, 300), (two.id, 300)]
    assert [it.distributor.id for it in await settlements.debts(session, after=(one.id,), limit=1)] == [two.id]
    gone = await settlements.write_off(session, two.id, 300, "坏账", by=maker, now=NOW)
    await settlements.approve_write_off(session, gone.id, by=other, now=NOW)
    assert [it.distributor.id for it in await settlements.debts(session, after=None, limit=9)] == [one.id]


async def test_the_audit_tells_what_left_from_what_was_lost(session: AsyncSession) -> None:
    """A commission in no statement beside others that are is lost, unless its payee has disputed that run."""
    made = await reviewed(session)
    await disputed(session, made.seller)
    await settlements.approve(session, made.run_id, now=NOW, by=None)
    await is_sound(session)
    (gone,) = (await session.scalars(select(models.Dispute))).all()
    await session.execute(text("UPDATE disputes SET left_at = NULL"))
    found = {it.check: [row for row, _ in it.rows] for it in await audit(session) if it.check in CHECKS}
    (commission,) = await session.execute(
        select(models.Commission.branch_id, models.Commission.id).where(models.Commission.statement_id.is_(None))
    )
    (refund,) = await session.execute(select(models.Refund.branch_id, models.Refund.id))
    assert found == {
        "disputes": [f"disputes {gone.id}"],
        "half_settled": [f"commissions {commission.branch_id}/{commission.id}"],
        "settled_refunds": [f"refunds {refund.branch_id}/{refund.id}"],
    }


async def test_the_adjustments_of_statements_in_pages(session: AsyncSession) -> None:
    one, two = await factories.a_distributor(session), await factories.a_distributor(session)
    for payee, amount in ((one, 5), (two, 7), (one, -2), (one, 9)):
        await settlements.adjust(
            session, distributor_id=payee.id, amount=amount, dated=date(2026, 9, 1), reason="x", by=None, now=NOW
        )
    run_id = await again(session)
    first, second = (
        await session.scalars(
            select(models.Statement).where(models.Statement.run_id == run_id).order_by(models.Statement.distributor_id)
        )
    ).all()
    pages = [settlements.AdjustmentsPage(it.id, None, 2) for it in (first, second)]
    (some, own) = await settlements.adjustments_of(session, pages)
    assert [(it.amount, it.payee_id, it.code, it.statement_id) for it in some] == [
        (5, one.id, one.code, first.id),
        (-2, one.id, one.code, first.id),
    ]
    assert [it.amount for it in own] == [7]
    (rest,) = await settlements.adjustments_of(session, [settlements.AdjustmentsPage(first.id, (some[-1].id,), 2)])
    assert [it.amount for it in rest] == [9]
    found = await settlements.adjustments(session, settlements.Owner(), open_only=True, after=None, limit=9)
    assert found == []
