"""Rows to test with: plain functions, each makes what it needs and flushes it."""

from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from sqlalchemy import BindParameter, bindparam, func, select
from sqlalchemy.dialects.postgresql import Range, insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models, settlements
from s2b2c.accounts import account_of
from s2b2c.config import SHANGHAI

_numbers = count(1)
EVER: Range[datetime] = Range(None, None)


async def a_tier(session: AsyncSession, *, rank: int = 1, is_leader: bool = False) -> models.Tier:
    """The tier of this rank, made when it is not there yet."""
    tier = await session.scalar(select(models.Tier).where(models.Tier.rank == rank))
    if tier is None:
        tier = models.Tier(code=f"tier-{rank}", rank=rank, name=f"层级{rank}", is_leader=is_leader)
        session.add(tier)
        await session.flush()
    return tier


async def a_distributor(
    session: AsyncSession,
    *,
    parent: models.Distributor | None = None,
    rank: int = 1,
    state: str = "active",
    region: str = "华东",
    joined_on: date = date(2026, 1, 1),
    with_history: bool = False,
) -> models.Distributor:
    tier = await a_tier(session, rank=rank)
    number = await session.scalar(func.nextval("distributors_id_seq"))
    assert number is not None
    distributor = models.Distributor(
        id=number,
        code=f"D{number:04}",
        name=f"分销商{number}",
        tier_id=tier.id,
        parent_id=parent.id if parent else None,
        ancestors=[number, *(parent.ancestors if parent else [])],
        region=region,
        joined_on=joined_on,
        state=state,
    )
    session.add(distributor)
    await session.flush()
    if with_history:  # it has stood so since it joined
        since = datetime(joined_on.year, joined_on.month, joined_on.day, tzinfo=SHANGHAI)
        places = {"parent_id": distributor.parent_id, "tier_id": tier.id, "state": state}
        session.add(models.DistributorHistory(distributor_id=number, during=Range(since, None), **places))
        await session.flush()
    return distributor


async def an_account(session: AsyncSession, role: str = "operator", **of: int) -> int:
    """The id of a new account; `of` is whose it is, like brand_id."""
    account = models.Account(role=role, **of)
    session.add(account)
    await session.flush()
    return account.id


async def a_brand(session: AsyncSession, name: str | None = None) -> models.Brand:
    brand = models.Brand(name=name or f"品牌{next(_numbers)}")
    session.add(brand)
    await session.flush()
    return brand


async def a_variant(
    session: AsyncSession,
    *,
    brand: models.Brand | None = None,
    product: models.Product | None = None,
    category: str = "零食",
    supply_price: int = 2600,
    price: int = 4990,
    band: tuple[int, int] | None = None,
    tier_costs: tuple[int | None, ...] = (3500, 3900, 4200),
    stock: int = 100,
) -> models.Variant:
    """A variant with a price since ever; `price` is suggested, the band goes from the supply price to twice `price`."""
    if product is None:
        brand = brand or await a_brand(session)
        product = models.Product(
            brand_id=brand.id,
            code=f"P{next(_numbers):04}",
            title=f"商品{next(_numbers)}",
            category=category,
            tonalities=[],
            audiences=[],
            image_url=None,
            state="listed",
        )
        session.add(product)
        await session.flush()
    variant = models.Variant(
        product_id=product.id, brand_id=product.brand_id, sku=f"S{next(_numbers):04}", options={}, stock=stock
    )
    session.add(variant)
    await session.flush()
    min_price, max_price = band or (supply_price, 2 * price)
    session.add(
        models.Price(
            variant_id=variant.id,
            during=EVER,
            supply_price=supply_price,
            suggested_price=price,
            min_price=min_price,
            max_price=max_price,
            tier_costs=list(tier_costs),
        )
    )
    await session.flush()
    await _mark_stale(session, variant.product_id)
    return variant


async def _mark_stale(session: AsyncSession, product_id: int) -> None:
    await session.execute(insert(models.StaleProduct).values(product_id=product_id).on_conflict_do_nothing())


async def reprice(session: AsyncSession, product_id: int, at: datetime, **changes: object) -> None:
    """From `at` on the variants of a product have prices that differ in this."""
    variants = select(models.Variant.id).where(models.Variant.product_id == product_id)
    current = models.Price.variant_id.in_(variants) & func.upper_inf(models.Price.during)
    for old in (await session.scalars(select(models.Price).where(current))).all():
        kept = ("supply_price", "suggested_price", "min_price", "max_price", "tier_costs")
        new = {**{name: getattr(old, name) for name in kept}, **changes}
        old.during = Range(old.during.lower, at)
        await session.flush()
        session.add(models.Price(variant_id=old.variant_id, during=Range(at, None), **new))
    await session.flush()
    await _mark_stale(session, product_id)


async def a_price_change(session: AsyncSession, variant_id: int, starts_at: datetime) -> models.ScheduledPrice:
    """One that waits."""
    prices = {"supply_price": 100, "suggested_price": 300, "min_price": 200, "max_price": 400}
    change = models.ScheduledPrice(
        variant_id=variant_id, starts_at=starts_at, tier_costs=[], created_at=starts_at, **prices
    )
    session.add(change)
    await session.flush()
    return change


async def a_store(session: AsyncSession, owner: models.Distributor | None = None) -> models.Store:
    owner = owner or await a_distributor(session)
    number = next(_numbers)
    store = models.Store(slug=f"store-{number}", distributor_id=owner.id, title=f"小店{number}", region=owner.region)
    session.add(store)
    await session.flush()
    return store


async def a_listing(
    session: AsyncSession,
    store: models.Store,
    product_id: int,
    *,
    price: int = 4990,
    position: int = 1,
    pitch: str = "",
) -> models.Listing:
    listing = models.Listing(store_id=store.id, product_id=product_id, price=price, position=position, pitch=pitch)
    session.add(listing)
    await session.flush()
    return listing


async def a_customer(session: AsyncSession) -> models.Customer:
    customer = models.Customer(ref=f"customer-{next(_numbers)}")
    session.add(customer)
    await session.flush()
    return customer


HOME = {"recipient": "王小明", "phone": "13800001234", "region": "上海市 浦东新区", "street": "世纪大道1号"}


def at_home() -> list[BindParameter[str]]:
    """HOME for a statement that is text: the parameters of the same names, sealed on their way."""
    return [bindparam(name, value, models.Address.__table__.c[name].type) for name, value in HOME.items()]


async def an_address(session: AsyncSession, customer: models.Customer) -> models.Address:
    address = models.Address(customer_id=customer.id, **HOME)
    session.add(address)
    await session.flush()
    return address


async def an_order(
    session: AsyncSession,
    store: models.Store,
    *lines: tuple[models.Variant, int, int, int],
    customer: models.Customer | None = None,
    placed_at: datetime = datetime(2026, 9, 1, 4, tzinfo=UTC),
) -> models.Order:
    """A placed order; a line is (variant, quantity, unit price, discount)."""
    customer = customer or await a_customer(session)
    owner = await session.get_one(models.Distributor, store.distributor_id)
    order = models.Order(
        branch_id=owner.branch_id,
        order_no=f"O{next(_numbers)}",
        store_id=store.id,
        customer_id=customer.id,
        seller_id=owner.id,
        state="placed",
        placed_at=placed_at,
    )
    session.add(order)
    await session.flush()
    for line_no, (variant, quantity, unit_price, discount) in enumerate(lines, start=1):
        price = (await session.scalars(select(models.Price).where(models.Price.variant_id == variant.id))).one()
        paid = quantity * unit_price - discount
        session.add(
            models.OrderLine(
                branch_id=order.branch_id,
                order_id=order.id,
                line_no=line_no,
                brand_id=variant.brand_id,
                product_id=variant.product_id,
                variant_id=variant.id,
                quantity=quantity,
                unit_price=unit_price,
                discount=discount,
                paid=paid,
                supply_price=price.supply_price,
                tier_costs=price.tier_costs,
                supply=quantity * price.supply_price,
                platform=paid - quantity * price.supply_price,
            )
        )
    await session.flush()
    return order


async def a_plan(
    session: AsyncSession,
    *rules: dict[str, Any],
    margin_floor_bps: int = 0,
    state: str = "active",
    during: Range[datetime] = EVER,
    code: str | None = None,
    version: int = 1,
) -> models.Plan:
    """A plan in force since ever; a rule is what differs from (`levels`, base `paid`, everything)."""
    written = [models.Rule(**{"scheme": "levels", "base": "paid", "depth": _depth(rule), **rule}) for rule in rules]
    active = state == "active"
    plan = models.Plan(
        code=code or f"plan-{next(_numbers)}",
        version=version,
        state=state,
        during=during,
        margin_floor_bps=margin_floor_bps,
        paid_positions=max((rule.depth for rule in written), default=0),
        activated_at=datetime(2026, 1, 1, tzinfo=UTC) if active else None,
        max_paid_positions=100 if active else None,
    )
    session.add(plan)
    await session.flush()
    for rule in written:
        rule.plan_id = plan.id
        session.add(rule)
        await session.flush()
    return plan


def _depth(rule: dict[str, Any]) -> int:
    return len(rule.get("level_bps") or rule.get("level_amounts") or ())


async def a_settlement(session: AsyncSession, *, cutoff: datetime, now: datetime) -> settlements.Settled | None:
    """A run that is made, reviewed and approved at once."""
    settled = await settlements.settle(session, cutoff=cutoff, now=now)
    if settled is not None:
        await a_closed_run(session, settled.run_id, now)
    return settled


async def a_closed_run(session: AsyncSession, run_id: int, now: datetime) -> None:
    """Review a draft and approve it, so that another run can be made."""
    await settlements.review(session, run_id, now=now, by=None)
    await settlements.approve(session, run_id, now=now, by=None)


async def payees_told(session: AsyncSession) -> None:
    """Every distributor and brand says which account at a bank its money goes to."""
    account_id = await account_of(session, "finance")
    owners: list[dict[str, int]] = [{"brand_id": it} for it in await session.scalars(select(models.Brand.id))]
    owners += [{"distributor_id": it} for it in await session.scalars(select(models.Distributor.id))]
    for owner in owners:
        session.add(
            models.Payee(
                legal_name="王小丽",
                identity_number="11010519491231002X",
                bank_name="工商银行",
                bank_account="6222020200112233445",
                updated_at=func.now(),
                updated_by=account_id,
                **owner,
            )
        )
    await session.flush()


async def a_proof(session: AsyncSession, kind: str = "payout_proof") -> int:
    """A file of finance, without bytes."""
    account_id = await account_of(session, "finance")
    number = next(_numbers)
    file = models.File(
        kind=kind,
        name="回单.pdf",
        object_name=f"proof-{number}",
        account_id=account_id,
        size=1,
        sha256="0" * 64,
        created_at=datetime(2026, 10, 1, tzinfo=UTC),
    )
    session.add(file)
    await session.flush()
    return file.id
