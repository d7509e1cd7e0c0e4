"""What a brand supplies and is owed. Supply prices are here: for brands, finance and the operator alone."""

from enum import Enum
from typing import Any

import strawberry

from s2b2c import catalogue
from s2b2c.api.context import Info
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.nodes import BrandNode
from s2b2c.api.types.pricing import SupplyVariant


@strawberry.enum(description="What a product has come to. Only a listed one can be selected.")
class ProductState(Enum):
    DRAFT = "draft"
    IN_REVIEW = "in_review"
    LISTED = "listed"
    DELISTED = "delisted"


@strawberry.type(description="A product (SPU) as its brand sees it.")
class SupplyProduct(BrandNode):
    id: strawberry.ID = id_of("product")
    code: str
    title: str
    category: str
    tonalities: list[str] = strawberry.field(description="调性")
    audiences: list[str] = strawberry.field(description="人群")
    image_url: str | None
    state: ProductState
    listed_in: Int64 = strawberry.field(description="How many open stores list it (选品).")

    @strawberry.field(graphql_type=list[SupplyVariant], description="In the order they were made.")
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> list[catalogue.SupplyVariant]:
        return list(await info.context.load.supply_variants.load(root.id))


@strawberry.type(description="What the platform owes a brand for its supply. balance = inStatements + notInStatement.")
class Payable:
    balance: Money = strawberry.field(description="Owed now, by the ledger: for completed orders.")
    in_statements: Money = strawberry.field(description="Of it in statements (结算单) of settlement runs.")
    not_in_statement: Money = strawberry.field(description="Of it in no statement yet.")
    pending: Money = strawberry.field(
        description="Not owed yet: for orders that are paid and not completed, whose money is in escrow."
    )
