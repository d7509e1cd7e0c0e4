"""What whoever runs the network looks over: tiers, distributors, brands, stores and plans, with what they hold."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, cast, func, or_, select, true
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle, aliased

from s2b2c.db import AnyRow, page
from s2b2c.models import Account, Brand, Distributor, Listing, Plan, Product, Rule, Store, Tier, Variant
from s2b2c.network import EARNING, Standing, standings


async def tiers(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[AnyRow]:
    """The tiers from the top; `after` is a (rank,). Rows of (id, code, rank, name, is_leader, distributors): those that
    are active or on watch."""
    earning = (
        select(Distributor.tier_id, func.count().label("distributors"))
        .where(Distributor.state.in_(EARNING))
        .group_by(Distributor.tier_id)
        .subquery()
    )
    query: Select[*tuple[Any, ...]] = select(
        Tier.id,
        Tier.code,
        Tier.rank,
        Tier.name,
        Tier.is_leader,
        func.coalesce(earning.c.distributors, 0).label("distributors"),
    ).outerjoin(earning, earning.c.tier_id == Tier.id)
    return (await session.execute(page(query, (Tier.rank, "up"), after=after, limit=limit))).all()


async def distributors(
    session: AsyncSession,
    *,
    state: str | None = None,
    tier_id: int | None = None,
    region: str | None = None,
    search: str | None = None,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[Standing]:
    """Those with this state, tier and region whose code or name holds `search`, by id; `after` is an (id,)."""
    if not (region or "").isprintable() or not (search or "").isprintable():
        return []  # no text in PostgreSQL holds a NUL or half a surrogate pair
    query = standings(true())
    if state is not None:
        query = query.where(Distributor.state == state)
    if tier_id is not None:
        query = query.where(Distributor.tier_id == tier_id)
    if region is not None:
        query = query.where(Distributor.region == region)
    if search is not None:
        query = query.where(
            or_(
                Distributor.code.icontains(search, autoescape=True), Distributor.name.icontains(search, autoescape=True)
            )
        )
    rows = await session.execute(page(query, (Distributor.id, "up"), after=after, limit=limit))
    return [Standing(*row) for row in rows]


async def distributor(session: AsyncSession, distributor_id: int) -> Standing | None:
    row = (await session.execute(standings(true()).where(Distributor.id == distributor_id))).one_or_none()
    return None if row is None else Standing(*row)


async def brands(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[AnyRow]:
    """The brands by id; `after` is an (id,).

    Rows of (id, name, products, stores): how many products are listed, and how many open stores show one of them.
    """
    products = select(func.count()).where(Product.brand_id == Brand.id, Product.state == "listed")
    stores = (
        select(func.count(Listing.store_id.distinct()))
        .join(Product, Product.id == Listing.product_id)
        .join(Store, Store.id == Listing.store_id)
        .where(Product.brand_id == Brand.id, Product.state == "listed", Store.state == "open")
    )
    query: Select[*tuple[Any, ...]] = select(
        Brand.id, Brand.name, products.scalar_subquery().label("products"), stores.scalar_subquery().label("stores")
    )
    return (await session.execute(page(query, (Brand.id, "up"), after=after, limit=limit))).all()


async def stores(
    session: AsyncSession, *, search: str | None, after: tuple[int, ...] | None, limit: int
) -> Sequence[AnyRow]:
    """The stores whose slug or title holds `search`, by id; `after` is an (id,).

    Rows of (id, slug, title, region, state, is_model, owner, listings).
    """
    listings = select(func.count()).where(Listing.store_id == Store.id)
    query: Select[*tuple[Any, ...]] = select(
        Store.id,
        Store.slug,
        Store.title,
        Store.region,
        Store.state,
        Store.is_model,
        Bundle("owner", Distributor.id, Distributor.code, Distributor.name),
        listings.scalar_subquery().label("listings"),
    ).join(Distributor, Distributor.id == Store.distributor_id)
    if search is not None:
        if not search.isprintable():
            return []  # no text in PostgreSQL holds a NUL or half a surrogate pair
        query = query.where(
            or_(Store.slug.icontains(search, autoescape=True), Store.title.icontains(search, autoescape=True))
        )
    return (await session.execute(page(query, (Store.id, "up"), after=after, limit=limit))).all()


async def plans(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[Plan]:
    """The commission plans, newest first; `after` is an (id,)."""
    return (await session.scalars(page(select(Plan), (Plan.id, "down"), after=after, limit=limit))).all()


async def plan(session: AsyncSession, plan_id: int) -> Plan | None:
    return await session.get(Plan, plan_id)


async def accounts(session: AsyncSession, account_ids: Sequence[int]) -> dict[int, Account]:
    found = await session.scalars(select(Account).where(Account.id.in_(account_ids)))
    return {account.id: account for account in found}


class RulesPage(NamedTuple):
    """Which rules of a plan: `limit` of them behind the rule `after`; 0 is before the first."""

    plan_id: int
    after: int
    limit: int


async def rules(session: AsyncSession, pages: Sequence[RulesPage]) -> list[list[AnyRow]]:
    """For each page the rules in the order they were written.

    Rows of (plan_id, after, limit, the columns of a rule, brand, product, sku, rates). `brand` and `product` are also
    those of the product or variant that the rule is for; `rates` is (tier code, rate) from the top.
    """
    asked = (
        func.unnest(
            cast([one.plan_id for one in pages], ARRAY(BigInteger)),
            cast([one.after for one in pages], ARRAY(BigInteger)),
            cast([one.limit for one in pages], ARRAY(BigInteger)),
        )
        .table_valued("plan_id", "after", "limit", name="asked")
        .render_derived()
    )
    rule = aliased(
        Rule,
        select(Rule)
        .where(Rule.plan_id == asked.c.plan_id, Rule.id > asked.c.after)
        .order_by(Rule.id)
        .limit(asked.c.limit)
        .lateral("rule"),
    )
    brand = aliased(Brand, name="brand")
    product_id = func.coalesce(rule.product_id, Variant.product_id)
    brand_id = func.coalesce(rule.brand_id, Product.brand_id)
    rate = func.jsonb_build_array(Tier.code, rule.tier_bps[Tier.rank])
    rates = select(func.jsonb_agg(aggregate_order_by(rate, Tier.rank))).where(rule.tier_bps[Tier.rank] > 0)
    rows = await session.execute(
        select(
            asked.c.plan_id,
            asked.c.after,
            asked.c.limit,
            rule.id,
            rule.scheme,
            rule.base,
            rule.level_bps,
            rule.level_amounts,
            rule.same_tier_bps,
            rule.depth,
            rule.compress,
            rule.variant_id,
            rule.product_id,
            rule.category,
            rule.brand_id,
            brand,
            rates.scalar_subquery().label("rates"),
            Product.title.label("product"),
            Variant.sku,
        )
        .select_from(asked)
        .join(rule, rule.plan_id == asked.c.plan_id)
        .outerjoin(Variant, Variant.id == rule.variant_id)
        .outerjoin(Product, Product.id == product_id)
        .outerjoin(brand, brand.id == brand_id)
        .order_by(rule.id)
    )
    found: dict[RulesPage, list[AnyRow]] = defaultdict(list)
    for row in rows:
        found[RulesPage(row.plan_id, row.after, row.limit)].append(row)
    return [found[one] for one in pages]
