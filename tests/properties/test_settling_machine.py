"""Whatever finance and payees do in whatever order: every fen is in one statement or in none, and `audit` finds nothing.

Each run is one transaction that is rolled back; what is refused, is refused in a savepoint and changes nothing.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Concatenate, NamedTuple, ParamSpec

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from s2b2c import models, orders, settlements
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import Refused
from s2b2c.orders import Refund, RefundedLine
from s2b2c.settlements import Terms
from tests import factories
from tests.properties.worlds import ANEW, SOAK

DAY = timedelta(days=1)
START = datetime(2027, 1, 5, 4, tzinfo=UTC)
RUNS = 200 if SOAK else 10
NOT_MADE = {"claims", "current_history", "order_uplines", "tier_costs"}
"""Checks of what the factories do not make: they are no matter of settlement."""
OPEN = text("""
    SELECT (SELECT count(*) FROM commissions WHERE statement_id IS NULL),
           (SELECT count(*) FROM clawbacks WHERE statement_id IS NULL),
           (SELECT count(*) FROM order_lines l JOIN orders o ON (o.branch_id, o.id) = (l.branch_id, l.order_id)
            WHERE l.statement_id IS NULL),
           (SELECT count(*) FROM refund_lines WHERE statement_id IS NULL AND supply <> 0),
           (SELECT count(*) FROM adjustments WHERE statement_id IS NULL)
""")
CLOSED = text("""
    SELECT s.* FROM statements s JOIN settlement_runs r ON r.id = s.run_id
    WHERE r.state IN ('approved', 'paying', 'paid')
""")

P = ParamSpec("P")
Step = Callable[Concatenate["Settling", P], Coroutine[Any, Any, None]]


class Sold(NamedTuple):
    branch_id: int
    id: int


def awaited(step: Step[P]) -> Callable[Concatenate["Settling", P], None]:
    """A step on the loop of the machine."""

    def run(self: "Settling", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            self.runner.run(step(self, *args, **kwargs))
        except BaseException:
            self.is_sound = False
            raise

    run.__name__ = step.__name__  # a step goes by the name that its class has for it
    return run


class Settling(RuleBasedStateMachine):
    runner: ClassVar[asyncio.Runner]
    database: ClassVar[Database]
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.session = self.runner.run(self.stack.enter_async_context(self.database.write()))
        self.is_sound, self.now = True, START
        self.orders: list[Sold] = []
        self.state = "none"
        """Of the newest run."""
        self.run_id = 0
        self.closed: set[tuple[Any, ...]] = set()

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self.runner.run(self._close_all())
        finally:
            self.runner.run(self._leave())

    async def _leave(self) -> None:
        await self.session.rollback()
        await self.stack.aclose()

    async def _close_all(self) -> None:
        """In the end all there is stands in statements that are closed."""
        if self.state in settlements.OPEN:
            await settlements.discard(self.session, self.run_id, now=self.now, by=None)
        self.now += 60 * DAY
        settled = await settlements.settle(self.session, cutoff=self.now, now=self.now)
        if settled is not None:
            await factories.a_closed_run(self.session, settled.run_id, self.now)
        assert tuple((await self.session.execute(OPEN)).one()) == (0, 0, 0, 0, 0)
        assert [it for it in await audit(self.session) if it.check not in NOT_MADE] == []

    @initialize()
    @awaited
    async def begin(self) -> None:
        await factories.a_plan(self.session, {"level_bps": [1200, 300]})
        parent = await factories.a_distributor(self.session, rank=1)
        seller = await factories.a_distributor(self.session, parent=parent, rank=2)
        self.store = await factories.a_store(self.session, seller)
        self.variants = [await factories.a_variant(self.session, supply_price=price) for price in (2600, 1000)]
        self.payees = [{"distributor_id": it.id} for it in (parent, seller)]
        self.payees += [{"brand_id": it.brand_id} for it in self.variants]
        self.people = [models.Person(), models.Person()]
        self.session.add_all(self.people)
        await self.session.flush()
        await self._sell(2)

    async def _sell(self, lines: int) -> None:
        bought = [(variant, 2, 4990, 81) for variant in self.variants[:lines]]
        made = await factories.an_order(self.session, self.store, *bought)
        key = (made.branch_id, made.id)
        await orders.pay(self.session, [(*key, self.now)], rail="import")
        await orders.complete(self.session, [(*key, self.now)], hold_days=7)
        self.orders.append(Sold(*key))

    @rule(lines=st.sampled_from([1, 2]))
    @awaited
    async def an_order_is_completed(self, lines: int) -> None:
        await self._sell(lines)

    @rule(data=st.data(), amount=st.integers(1, 3000))
    @awaited
    async def an_order_is_refunded(self, data: st.DataObject, amount: int) -> None:
        order = data.draw(st.sampled_from(self.orders))
        line = RefundedLine(1, amount=amount)
        asked = Refund(*order, f"r{self.now.timestamp()}", self.now, [line])
        self.now += DAY // 24
        self.seen["refunded"] += not await self._is_refused(orders.refund(self.session, [asked]))

    @rule(days=st.sampled_from([1, 8, 30]))
    @awaited
    async def days_pass(self, days: int) -> None:
        self.now += days * DAY

    @rule(data=st.data(), amount=st.sampled_from([-20_000, -5, 3, 700]))
    @awaited
    async def a_payee_is_adjusted(self, data: st.DataObject, amount: int) -> None:
        payee, dated = data.draw(st.sampled_from(self.payees)), self.now.date()
        await settlements.adjust(
            self.session, **payee, amount=amount, dated=dated, reason="更正", by=None, now=self.now
        )

    @rule(by=st.sampled_from([0, 1]))
    @awaited
    async def a_period_is_settled(self, by: int) -> None:
        await self._settle(by)

    @rule(data=st.data(), by=st.sampled_from([0, 1]))
    @awaited
    async def a_month_goes_on(self, data: st.DataObject, by: int) -> None:
        """Its next step, which chance alone seldom comes to."""
        if self.state == "draft":
            await self._review()
            await self._dispute(data)
        elif self.state == "reviewed":
            await self._approve(1 - self.maker)
        else:
            self.now += 8 * DAY
            await self._settle(by)

    async def _settle(self, by: int) -> None:
        """What another run has reserved is not due; of what is due there is no second draft."""
        made: list[Any] = []

        async def settle() -> None:
            terms, person = Terms(minimum_payout=100), self.people[by].id
            made.append(await settlements.settle(self.session, cutoff=self.now, now=self.now, terms=terms, by=person))

        is_refused = await self._is_refused(settle())
        assert not is_refused or self.state in settlements.OPEN
        if not is_refused and made[0] is not None:
            assert self.state not in settlements.OPEN
            self.run_id, self.state, self.maker = made[0].run_id, "draft", by
            self.seen["settled"] += 1

    @rule()
    @awaited
    async def the_run_is_reviewed(self) -> None:
        await self._review()

    async def _review(self) -> None:
        done = settlements.review(self.session, self.run_id, now=self.now, by=None)
        if await self._is_refused(done):
            assert self.state != "draft"
        else:
            assert self.state == "draft"
            self.state = "reviewed"

    @rule(by=st.sampled_from([0, 1]))
    @awaited
    async def the_run_is_approved(self, by: int) -> None:
        await self._approve(by)

    async def _approve(self, by: int) -> None:
        done = settlements.approve(self.session, self.run_id, now=self.now, by=self.people[by].id)
        if await self._is_refused(done):
            assert self.state != "reviewed" or by == self.maker
        else:
            assert (self.state, by) == ("reviewed", 1 - self.maker)
            self.state = "approved"
            self.seen["approved"] += 1

    @rule()
    @awaited
    async def the_run_is_discarded(self) -> None:
        done = settlements.discard(self.session, self.run_id, now=self.now, by=None)
        assert await self._is_refused(done) == (self.state not in settlements.OPEN)
        if self.state in settlements.OPEN:
            self.state = "discarded"

    @rule(data=st.data())
    @awaited
    async def a_statement_is_disputed(self, data: st.DataObject) -> None:
        await self._dispute(data)

    async def _dispute(self, data: st.DataObject) -> None:
        query = select(models.Statement).where(models.Statement.run_id == self.run_id).order_by(models.Statement.id)
        found = (await self.session.scalars(query)).all()
        if not found:
            return
        it = data.draw(st.sampled_from(found))
        owner = {"distributor_id": it.distributor_id, "brand_id": it.brand_id}
        before = await settlements.disputes_of(self.session, [it.id])
        said = settlements.dispute(self.session, it.id, "少算", **owner, by=None, now=self.now)
        is_refused = await self._is_refused(said)
        assert is_refused == (self.state != "reviewed" or bool(before))
        self.seen["disputed"] += not is_refused

    @rule(amount=st.sampled_from([None, -300, 250]))
    @awaited
    async def a_dispute_is_answered(self, amount: int | None) -> None:
        waiting = await settlements.disputes(self.session, waiting_only=True, after=None, limit=1)
        for it in waiting:
            day = self.now.date()
            await settlements.answer(self.session, it.id, "已核", amount=amount, dated=day, by=None, now=self.now)

    @invariant()
    @awaited
    async def every_invariant_holds(self) -> None:
        assert [it for it in await audit(self.session) if it.check not in NOT_MADE] == []

    @invariant()
    @awaited
    async def what_is_closed_stays(self) -> None:
        found = {tuple(row) for row in await self.session.execute(CLOSED)}
        assert self.closed <= found
        self.closed = found

    async def _is_refused(self, step: Awaitable[object]) -> bool:
        try:
            async with self.session.begin_nested():
                await step
        except Refused:
            return True
        return False


def test_finance_and_payees_in_any_order(database_url: str) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        Settling.runner, Settling.database = runner, Database(database_url)
        try:
            run_state_machine_as_test(
                Settling, settings=settings(stateful_step_count=30, max_examples=RUNS, backend=ANEW)
            )
        finally:
            runner.run(Settling.database.close())
    seen = Settling.seen
    assert all(seen[what] > 0 for what in ("settled", "approved", "disputed", "refunded")), seen
