"""Whatever happens in whatever order: what was earned stays, every fen is somewhere, and `audit` finds nothing.

Each run is one transaction that is rolled back; what is refused, is refused in a savepoint and changes nothing.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, ClassVar, Concatenate, ParamSpec

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import insert, select, text

from s2b2c import ledger, models, network, orders
from s2b2c.audit import audit
from s2b2c.db import Database
from s2b2c.errors import Refused
from tests import factories
from tests.properties.oracle import Plan, Refund
from tests.properties.order_oracle import Account, Event, Order, Rows, balances
from tests.properties.worlds import (
    ANEW,
    DAY,
    FLAG,
    PRODUCTS,
    SOAK,
    START,
    UP_TO,
    VARIANTS,
    Distributor,
    Variant,
    World,
    a_line,
    a_plan,
    a_variant,
    an_event,
    pay,
    place,
    tier_id,
    worlds,
)
from tests.properties.written import (
    differences,
    read,
    refund_of,
    write,
    write_orders,
    write_plan,
    write_prices,
)

MINUTE = timedelta(minutes=1)
HOLD_DAYS = 7
RUNS = 500 if SOAK else 20
EARNING = {"active", "watch"}

P = ParamSpec("P")
Step = Callable[Concatenate["Machine", P], Coroutine[Any, Any, None]]

_BEGIN_HISTORY = text("""
    INSERT INTO distributor_history (distributor_id, during, parent_id, tier_id, state)
    SELECT id, tstzrange(:at, NULL), parent_id, tier_id, state FROM distributors WHERE id = ANY (:ids)
""")
_END_HISTORY = text("""
    UPDATE distributor_history SET during = tstzrange(lower(during), :at)
    WHERE distributor_id = ANY (:ids) AND upper_inf(during)
""")
_END_PLAN = text("""
    UPDATE plans SET during = tstzrange(lower(during), :at) WHERE state = 'active' AND upper_inf(during)
""")
_IN_STATEMENTS = text("""
    SELECT 'commission', branch_id, id, statement_id FROM commissions WHERE statement_id IS NOT NULL
    UNION ALL
    SELECT 'clawback', branch_id, id, statement_id FROM clawbacks WHERE statement_id IS NOT NULL
    UNION ALL
    SELECT 'line', branch_id, id, statement_id FROM order_lines WHERE statement_id IS NOT NULL
    UNION ALL
    SELECT 'return', branch_id, id, statement_id FROM refund_lines WHERE statement_id IS NOT NULL
""")


def awaited(step: Step[P]) -> Callable[Concatenate["Machine", P], None]:
    """A step on the loop of the machine."""

    def run(self: "Machine", /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            self.runner.run(step(self, *args, **kwargs))
        except BaseException:
            self.is_sound = False
            raise

    run.__name__ = step.__name__  # a step goes by the name that its class has for it
    return run


class Machine(RuleBasedStateMachine):
    runner: ClassVar[asyncio.Runner]
    database: ClassVar[Database]
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.stack = AsyncExitStack()
        self.session = self.runner.run(self.stack.enter_async_context(self.database.write()))
        self.is_sound = True
        self.now = START
        self.settled: set[tuple[int, int, str]] = set()
        """Orders (""), and their refunds by reference."""
        self.statements: dict[tuple[str, int, int], int] = {}
        self.debts: Counter[int] = Counter()
        """Of distributors."""
        self.carried: Counter[int] = Counter()
        """Of brands, below 0."""
        self.posted: Rows = {}
        """The transfers of statements."""

    def teardown(self) -> None:
        try:
            if self.is_sound:
                self.runner.run(self._audit())
        finally:
            self.runner.run(self._leave())

    async def _audit(self) -> None:
        assert await audit(self.session) == []
        self.seen["shares"] += sum(len(state.shares) for order in self.world.orders for state in order.states)
        self.seen["refunds"] += sum(len(order.events) for order in self.world.orders if order.paid_at)

    async def _leave(self) -> None:
        await self.session.rollback()
        await self.stack.aclose()

    @initialize(data=st.data(), world=worlds(most_orders=0))
    @awaited
    async def begin(self, data: st.DataObject, world: World) -> None:
        self.world = world
        world.plans = [written._replace(since=None, until=None) for written in world.plans[:1]]
        await write(self.session, world)
        await write_prices(self.session, world)
        await self.session.execute(_BEGIN_HISTORY, {"at": START - 30 * DAY, "ids": list(world.distributors)})
        account = models.Account(role="operator")
        self.session.add(account)
        await self.session.flush()
        self.account_id = account.id
        for _ in range(4):
            await self._place(data)
        for _ in range(2):
            await self._refund(data)
        await self._pay_and_complete(data)

    @rule(data=st.data())
    @awaited
    async def orders_go_on(self, data: st.DataObject) -> None:
        self._tick()
        match data.draw(UP_TO[4]):
            case 0:
                await self._place(data)
            case 1 | 2:
                await self._pay_and_complete(data)
            case _:
                await self._refund(data)

    @rule(data=st.data())
    @awaited
    async def the_world_changes(self, data: st.DataObject) -> None:
        self._tick()
        members = self.world.distributors
        member = members[self._one_of(data, members)]
        match data.draw(UP_TO[5]):
            case 0:
                other = members[self._one_of(data, members)]
                await self._move(member, other if data.draw(UP_TO[3]) else None)
            case 1:
                await self._change_tier(member, 1 + data.draw(UP_TO[self.world.ranks - 1]))
            case 2 | 3:
                await self._suspend_or_reinstate(member, suspends=data.draw(FLAG))
            case 4:
                await self._change_a_price(self._one_of(data, PRODUCTS), a_variant(data.draw, 0, self.world.ranks))
            case _:
                await self._activate(a_plan(data.draw, self.world.ranks))

    async def _pay_and_complete(self, data: st.DataObject) -> None:
        """Many at once, with those that were paid or completed before among them."""
        paying = [order for order in self.world.orders if data.draw(UP_TO[3])]
        new = [order for order in paying if order.paid_at is None]
        for order in new:
            pay(self.world, order, self.now)
        arrived = [(order.branch, order.id, self.now) for order in paying]
        assert await orders.pay(self.session, arrived, rail="import") == len(new)
        completing = [order for order in self.world.orders if data.draw(UP_TO[3])]
        new = [order for order in completing if order.paid_at is not None and order.completed_at is None]
        for order in new:
            order.complete(self.now)
        arrived = [(order.branch, order.id, self.now) for order in completing]
        assert await orders.complete(self.session, arrived, hold_days=HOLD_DAYS) == len(new)

    async def _refund(self, data: st.DataObject) -> None:
        """Refunds and reversals of some orders; some come twice, and some ask for more than is left."""
        for order in self.world.orders:
            self._tick()
            match data.draw(UP_TO[7]):
                case 0 | 1 | 2:
                    pass
                case 3 if order.events:
                    event = self._one_of(data, list(order.events.values()))
                    assert await self._deliver(order, event) == 0
                case 4:
                    event = Event("too much", self.now, _too_much(data, order))
                    assert await self._is_refused(self._deliver(order, event))
                case _:
                    drawn = an_event(data.draw, order, self.now, reversals=True)
                    if drawn is not None:
                        order.happen(drawn)
                        assert await self._deliver(order, drawn) == 1

    @rule(waiting=UP_TO[9], early=UP_TO[3])
    @awaited
    async def periods_end(self, waiting: int, early: int) -> None:
        """All that matured before the cutoff, in one statement for each payee: (lines, gross, clawbacks)."""
        self.now += waiting * DAY + MINUTE
        cutoff = self.now - early * DAY
        expected: dict[tuple[str, Any], list[int]] = defaultdict(lambda: [0, 0, 0])
        for order in self.world.orders:
            if order.completed_at is not None and order.completed_at + HOLD_DAYS * DAY < cutoff:
                self._expect_earned(order, expected)
                for event in order.events.values():
                    if event.at < cutoff:
                        self._expect_returned(order, event, expected)
        run = await factories.a_settlement(self.session, cutoff=cutoff, now=self.now)
        found = {}
        if run is not None:
            it = models.Statement
            rows = select(it.id, it.distributor_id, it.brand_id, it.lines, it.gross, it.clawbacks, it.payout)
            for key, distributor, brand, *numbers in await self.session.execute(rows.where(it.run_id == run.run_id)):
                kind, payee = "brand" if brand else "distributor", int(brand or distributor or 0)
                found[kind, payee] = numbers
                if (known := expected.get((kind, payee))) is not None:
                    known.append(self._expect_paid(key, kind, payee, *known[1:]))
            self.seen["settled"] += bool(run.orders)
            self.seen["settled refunds"] += run.distributors.clawbacks != 0
        assert found == expected

    def _expect_paid(self, statement: int, kind: str, payee: int, gross: int, clawed: int) -> int:
        """What is paid out. Half of the gross pays off what a distributor owes; a brand's loss waits for its next supply."""
        net = gross - clawed
        if kind == "brand":
            net += self.carried[payee]
            self.carried[payee] = min(net, 0)
            return max(net, 0)
        offset = min(self.debts[payee], gross // 2, max(net, 0))
        self._expect_posted(statement, "debt_offset", ("commission_payable", payee), ("debt", payee), offset)
        self._expect_posted(statement, "debt", ("debt", payee), ("commission_payable", payee), max(-net, 0))
        self.debts[payee] += max(-net, 0) - offset
        return max(net - offset, 0)

    def _expect_posted(self, statement: int, code: str, debit: Account, credit: Account, amount: int) -> None:
        if amount:
            self.posted["transfer", 0, f"statement {statement}", code, debit, credit] = (amount, self.now)
            self.seen[code] += 1

    async def _place(self, data: st.DataObject) -> None:
        lines = [a_line(data.draw, self.world, most=1_000) for _ in range(1 + data.draw(UP_TO[2]))]
        order = place(self.world, self._one_of(data, self.world.distributors), lines, self.now)
        await write_orders(self.session, [order])
        claim: dict[str, object] = {"branch_id": order.branch, "event_id": order.id}
        claim |= {"kind": "order_no", "name": f"O{order.branch}-{order.id}"}
        await self.session.execute(insert(models.Claim), [claim])

    async def _deliver(self, order: Order, event: Event) -> int:
        if event.asked:
            return await orders.refund(self.session, [refund_of(order, event)])
        return await orders.reverse_refunds(self.session, [(event.reference.removeprefix("-"), event.at)])

    async def _move(self, mover: Distributor, parent: Distributor | None) -> None:
        above = parent.ancestors if parent else ()
        is_refused = (
            mover.state == "eliminated"
            or mover.ancestors[1:] == above
            or mover.id in above
            or (parent is not None and parent.state not in EARNING)
        )
        key = parent.id if parent else None
        moved = network.move(self.session, mover.id, key, reason="试", now=self.now, account_id=self.account_id)
        assert await self._is_refused(moved) == is_refused
        if not is_refused:
            members = self.world.distributors
            for member in list(members.values()):
                if mover.id in member.ancestors:
                    kept = member.ancestors[: member.ancestors.index(mover.id) + 1]
                    members[member.id] = member._replace(ancestors=(*kept, *above))

    async def _suspend_or_reinstate(self, member: Distributor, *, suspends: bool) -> None:
        step = network.suspend if suspends else network.reinstate
        is_refused = member.state not in (EARNING if suspends else {"suspended"})
        stepped = step(self.session, member.id, reason="试", now=self.now, account_id=self.account_id)
        assert await self._is_refused(stepped) == is_refused
        if not is_refused:
            state = "suspended" if suspends else "active"
            self.world.distributors[member.id] = member._replace(state=state)

    async def _change_tier(self, member: Distributor, rank: int) -> None:
        """As an import of the network does it."""
        if rank != member.rank:
            self.world.distributors[member.id] = member._replace(rank=rank)
            update = text("UPDATE distributors SET tier_id = :tier_id WHERE id = :id")
            await self.session.execute(update, {"tier_id": tier_id(rank), "id": member.id})
            for change in (_END_HISTORY, _BEGIN_HISTORY):
                await self.session.execute(change, {"at": self.now, "ids": [member.id]})

    async def _activate(self, plan: Plan) -> None:
        """As an import of plans does it: the one in force ends where the new one begins."""
        self.world.plans = [written._replace(until=written.until or self.now) for written in self.world.plans]
        await self.session.execute(_END_PLAN, {"at": self.now})
        written = self.world.add_plan(plan, self.now, None)
        await write_plan(self.session, written, self.world.ranks)

    async def _change_a_price(self, product: int, drawn: Variant) -> None:
        self.world.variants = [
            drawn._replace(id=old.id) if VARIANTS[old.id] == product else old for old in self.world.variants
        ]
        names = ("min_price", "suggested_price", "max_price")
        changes = {"supply_price": drawn.supply_price, "tier_costs": list(drawn.costs)}
        changes |= dict(zip(names, drawn.band, strict=True))
        await factories.reprice(self.session, product, self.now, **changes)

    def _expect_earned(self, order: Order, expected: dict[tuple[str, Any], list[int]]) -> None:
        if (order.branch, order.id, "") in self.settled:
            return
        self.settled.add((order.branch, order.id, ""))
        for line, state in zip(order.lines, order.states, strict=True):
            _add(expected["brand", line.brand], line.supply, 0)
            for share in state.shares:
                _add(expected["distributor", share.name], share.amount, 0)

    def _expect_returned(self, order: Order, event: Event, expected: dict[tuple[str, Any], list[int]]) -> None:
        if (order.branch, order.id, event.reference) in self.settled:
            return
        self.settled.add((order.branch, order.id, event.reference))
        for line_no, effect in order.effects[event.reference].items():
            if effect.supply_back:
                _add(expected["brand", order.lines[line_no - 1].brand], 0, effect.supply_back)
            for share, amount in zip(order.states[line_no - 1].shares, effect.clawed, strict=True):
                if amount:
                    _add(expected["distributor", share.name], 0, amount)

    # What always holds

    @invariant()
    @awaited
    async def all_is_as_the_oracle_has_it(self) -> None:
        """Each order by what was frozen as it was placed and paid, whatever happened since."""
        expected = {key: row for order in self.world.orders for key, row in order.rows().items()} | self.posted
        assert differences(expected, await read(self.session)) == {}
        transfers = {key: row for key, row in expected.items() if key[0] == "transfer"}
        owners = await self.session.execute(
            text("SELECT id, kind, coalesce(brand_id, distributor_id, 0) FROM ledger_accounts")
        )
        named = {key: (kind, owner) for key, kind, owner in owners}
        accounts = await ledger.accounts(self.session, kind=None, after=None, limit=1_000)
        found = {named[account.id]: account.balance for account in accounts if account.balance}
        assert found == balances(transfers)

    @invariant()
    @awaited
    async def nothing_leaves_its_statement(self) -> None:
        found = {(kind, branch, key): it for kind, branch, key, it in await self.session.execute(_IN_STATEMENTS)}
        assert self.statements.items() <= found.items()
        self.statements = found

    def _tick(self) -> None:
        self.now += MINUTE

    def _one_of(self, data: st.DataObject, choices: Any) -> Any:
        return data.draw(st.sampled_from(list(choices)))

    async def _is_refused(self, step: Awaitable[object]) -> bool:
        try:
            async with self.session.begin_nested():
                await step
        except Refused:
            return True
        return False


def _too_much(data: st.DataObject, order: Order) -> dict[int, Refund]:
    """More than is left of one line, beside what could be had of the others."""
    asked = {line_no: Refund(amount=1) for line_no, state in enumerate(order.states, start=1) if state.left}
    line_no = 1 + data.draw(UP_TO[len(order.lines) - 1])
    state = order.states[line_no - 1]
    too_much = [Refund(quantity=state.units_left + 1), Refund(amount=state.left + 1)]
    if state.left:
        too_much.append(Refund(amount=1, brand_amount=state.supply + 1))
    asked[line_no] = too_much[data.draw(UP_TO[len(too_much) - 1])]
    return asked


def _add(numbers: list[int], gross: int, clawback: int) -> None:
    numbers[:] = [numbers[0] + 1, numbers[1] + gross, numbers[2] + clawback]


def test_anything_in_any_order(database_url: str) -> None:
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        Machine.runner, Machine.database = runner, Database(database_url)
        try:
            run_state_machine_as_test(
                Machine, settings=settings(stateful_step_count=30, max_examples=RUNS, backend=ANEW)
            )
        finally:
            runner.run(Machine.database.close())
    assert all(Machine.seen[what] >= RUNS // 10 for what in ("shares", "refunds", "settled", "settled refunds", "debt"))
