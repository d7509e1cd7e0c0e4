"""Stock that a brand sets aside for regions and for stores."""

from collections.abc import Sequence
from typing import Annotated

import strawberry

from s2b2c import catalogue
from s2b2c.api.access import BrandDoor
from s2b2c.api.context import Info
from s2b2c.api.types.errors import BadArgument, NotFound, WrongState
from s2b2c.api.types.ids import check_count, key_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.supply import SupplyVariant


@strawberry.input(description="How many units of a variant are set aside for a region or for one store.")
class AllotmentInput:
    variant: strawberry.ID = strawberry.field(description="The `id` of the variant.")
    region: str | None = strawberry.field(
        default=None, description="As stores and distributors spell theirs; or leave it out and name a store."
    )
    store: strawberry.ID | None = strawberry.field(
        default=None, description="The `id` of an open store; or leave it out and name a region."
    )
    quantity: Int64 = strawberry.field(
        description="Units that are left of it from now on, whatever was sold before; 0 takes it away."
    )


@strawberry.type(description="Variants of which another number is set aside now.")
class AllotmentsSet:
    variants: Sequence[catalogue.SupplyVariant] = strawberry.field(
        graphql_type=list[SupplyVariant], description="Those that were named, as they stand."
    )


@strawberry.type
class AllotmentMutation:
    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[
            AllotmentsSet | NotFound | WrongState | BadArgument, strawberry.union("SetAllotmentsResult")
        ],
        description="Set units of your variants aside for regions and stores: all of it or none, and of a variant at "
        "most its stock. A store sells what is set aside for it first, then what is for its region, then what is free "
        "for all. Units of unpaid orders that come back after a number was changed are free.",
    )
    async def set_allotments(self, info: Info, allotments: list[AllotmentInput]) -> AllotmentsSet:
        check_count("allotment", allotments)
        wanted = [_aside(it) for it in allotments]
        viewer, brand_id = await info.context.viewer(), await info.context.brand_id()
        async with info.context.db.write() as session:
            product_ids = await catalogue.set_allotments(
                session, brand_id, wanted, account_id=viewer.account_id, now=info.context.clock()
            )
            found = await catalogue.supply_variants(session, product_ids)
        named = {it.variant_id for it in wanted}
        return AllotmentsSet(variants=[it for variants in found.values() for it in variants if it.id in named])


def _aside(it: AllotmentInput) -> catalogue.Aside:
    """Raises Refused(BadArgument)."""
    store_id = None if it.store is None else key_of("store", it.store)
    return catalogue.Aside(key_of("variant", it.variant), store_id, it.region, int(it.quantity))
