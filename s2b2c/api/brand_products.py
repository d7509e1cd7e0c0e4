"""A brand's own products: made, revised, submitted, their stock."""

from collections.abc import Sequence
from typing import Any

import strawberry

from s2b2c import catalogue, directory, errors
from s2b2c.accounts import Viewer
from s2b2c.api.access import BrandDoor
from s2b2c.api.context import Info
from s2b2c.api.types.ids import check_count, key_of
from s2b2c.api.types.network import Tier
from s2b2c.api.types.products import (
    AddVariantsResult,
    CreateProductInput,
    CreateProductResult,
    NewVariantInput,
    ReviseProductInput,
    ReviseProductResult,
    SetStockResult,
    StockInput,
    StockSet,
    SubmitProductResult,
    TakeBackProductResult,
)
from s2b2c.api.types.supply import SupplyProduct
from s2b2c.db import AnyRow
from s2b2c.errors import Refused

_MOST_TIERS = 100
"""A rank is 1 to 100."""


@strawberry.type
class OwnProducts:
    """The field of a door whose viewer supplies products."""

    @strawberry.field(
        graphql_type=SupplyProduct | None, description="A product of yours; null when you have no such one."
    )
    @staticmethod
    async def product(root: strawberry.Parent[Viewer], info: Info, id: strawberry.ID) -> AnyRow | None:  # noqa: A002  the argument's name
        key = key_of("product", id)
        async with info.context.db.read() as session:
            return await catalogue.product_of_brand(session, root.brand_id, key)

    @strawberry.field(graphql_type=list[Tier], description="From the top: to each of them a variant may have a cost.")
    @staticmethod
    async def tiers(info: Info) -> list[AnyRow]:
        async with info.context.db.read() as session:
            return list(await directory.tiers(session, after=None, limit=_MOST_TIERS))


@strawberry.type
class OwnProductMutation:
    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=CreateProductResult,
        description="Make a product with its variants and their first prices: a draft, until you submit it and the "
        "platform approves it.",
    )
    async def create_product(self, info: Info, input: CreateProductInput) -> AnyRow | None:  # noqa: A002  the argument's name
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        content = {
            "title": input.title,
            "category": input.category,
            "tonalities": input.tonalities,
            "audiences": input.audiences,
            "images": input.images,
            "description": input.description,
        }
        variants = _new_variants(input.variants)
        async with info.context.db.write() as session:
            product_id = await catalogue.create_product(
                session,
                brand_id,
                input.code,
                content,
                variants,
                now=info.context.clock(),
                account_id=viewer.account_id,
            )
            return await catalogue.product_of_brand(session, brand_id, product_id)

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=AddVariantsResult,
        description="Give a product more variants with their first prices. They need no review: where the product is "
        "listed they are sold at once, and listings whose price does not fit them are clamped or leave their stores.",
    )
    async def add_variants(self, info: Info, product: strawberry.ID, variants: list[NewVariantInput]) -> AnyRow | None:
        brand_id = await info.context.brand_id()
        key, made = key_of("product", product), _new_variants(variants)
        async with info.context.db.write() as session:
            await catalogue.add_variants(session, key, made, brand_id=brand_id, now=info.context.clock())
            return await catalogue.product_of_brand(session, brand_id, key)

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=ReviseProductResult,
        description="Change what a product shall say. What is live stays until you submit it and the platform "
        "approves it.",
    )
    async def revise_product(self, info: Info, input: ReviseProductInput) -> AnyRow | None:  # noqa: A002  the argument's name
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        key = key_of("product", input.product)
        given = {
            "title": input.title,
            "category": input.category,
            "tonalities": input.tonalities,
            "audiences": input.audiences,
            "images": input.images,
            "description": input.description,
        }
        changes = {field: value for field, value in given.items() if value is not None}
        async with info.context.db.write() as session:
            await catalogue.revise(
                session, key, changes, brand_id=brand_id, now=info.context.clock(), account_id=viewer.account_id
            )
            return await catalogue.product_of_brand(session, brand_id, key)

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=SubmitProductResult,
        description="Ask the platform to review what the product shall say. One that is delisted may be submitted as "
        "it is, to be listed again.",
    )
    async def submit_product(self, info: Info, product: strawberry.ID) -> AnyRow | None:
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        key = key_of("product", product)
        async with info.context.db.write() as session:
            await catalogue.submit(
                session, key, brand_id=brand_id, now=info.context.clock(), account_id=viewer.account_id
            )
            return await catalogue.product_of_brand(session, brand_id, key)

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=TakeBackProductResult,
        description="End the review of a product without an answer; what was in review is a draft again.",
    )
    async def take_back_product(self, info: Info, product: strawberry.ID) -> AnyRow | None:
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        key = key_of("product", product)
        async with info.context.db.write() as session:
            await catalogue.take_back(
                session, key, brand_id=brand_id, now=info.context.clock(), account_id=viewer.account_id
            )
            return await catalogue.product_of_brand(session, brand_id, key)

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=SetStockResult,
        description="Tell what can be sold of 1 to 500 variants, or what has come: each that can be changed is.",
    )
    async def set_stock(self, info: Info, variants: list[StockInput]) -> StockSet:
        check_count("variant", variants)
        changes = [catalogue.StockChange(key_of("variant", it.variant), it.stock, it.add, it.seen) for it in variants]
        brand_id = await info.context.brand_id()
        async with info.context.db.write() as session:
            return StockSet(results=list[Any](await catalogue.set_stock(session, changes, brand_id=brand_id)))


def _new_variants(inputs: Sequence[NewVariantInput]) -> list[catalogue.NewVariant]:
    """Raises Refused(BadArgument)."""
    check_count("variant", inputs)
    return [_new_variant(it) for it in inputs]


def _new_variant(it: NewVariantInput) -> catalogue.NewVariant:
    """Raises Refused(BadArgument)."""
    options = {option.name: option.value for option in it.options}
    costs = {key_of("tier", cost.tier): cost.cost for cost in it.tier_costs}
    if len(options) < len(it.options) or len(costs) < len(it.tier_costs):
        raise Refused(errors.BadArgument(f"SKU {it.sku[:64]!r} names an option or a tier twice: send each once."))
    return catalogue.NewVariant(
        it.sku, options, it.stock, it.supply_price, it.suggested_price, it.min_price, it.max_price, costs
    )
