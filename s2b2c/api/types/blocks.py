"""The decoration of a store (装修), block by block, and how it is told."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import strawberry

from s2b2c.api.context import Info
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.money import Int64
from s2b2c.stores import blocks

if TYPE_CHECKING:
    from s2b2c.api.types.stores import Listing

ShownListing = Annotated["Listing", strawberry.lazy("s2b2c.api.types.stores")]
"""That module shows stores, which show blocks."""


class Shown(NamedTuple):
    """A block in a store."""

    store_id: int
    it: Any


def shown(row: Any) -> list[Shown]:
    """The blocks of a row of a store, in the newest version."""
    return [Shown(row.id, block) for block in blocks.read(row.blocks, row.blocks_version)]


def _is(kind: type) -> Any:
    return classmethod(lambda _, row, __: isinstance(row.it, kind))


def _of_block(name: str, description: str | None = None) -> Any:
    return computed(lambda row: getattr(row.it, name), description)


async def _listings(root: strawberry.Parent[Shown], info: Info) -> list[Any]:
    """Those that the store shows."""
    keys = [(root.store_id, product) for product in root.it.products]
    return [row for row in await info.context.load.shown_listings.load_many(keys) if row is not None]


async def _listing(root: strawberry.Parent[Shown], info: Info) -> Any:
    if root.it.product is None:
        return None
    return await info.context.load.shown_listings.load((root.store_id, root.it.product))


def _products() -> Any:
    return strawberry.field(
        resolver=_listings,
        graphql_type=list[ShownListing],
        description="Those that the store shows now, in this order.",
    )


async def _items(root: strawberry.Parent[Shown], info: Info) -> list[tuple[blocks.GridItem, Any]]:
    """Those whose product the store shows, with its listing."""
    keys = [(root.store_id, item.product) for item in root.it.items]
    listings = await info.context.load.shown_listings.load_many(keys)
    return [(item, row) for item, row in zip(root.it.items, listings, strict=True) if row is not None]


@strawberry.type(description="One wide picture, which may lead to a product.")
class BannerBlock:
    is_type_of: ClassVar[Any] = _is(blocks.Banner)

    image_url: str = _of_block("image_url", "Of the picture.")
    title: str = _of_block("title", "Empty where the picture says it all.")
    product: Any = strawberry.field(
        resolver=_listing,
        graphql_type=ShownListing | None,
        description="Where it leads; null where it leads nowhere, or the store does not show it now.",
    )


@strawberry.type(description="Products that the owner recommends (精选).")
class PicksBlock:
    is_type_of: ClassVar[Any] = _is(blocks.Picks)

    title: str = _of_block("title")
    products: Any = _products()


@strawberry.type(description="Words, with or without a picture.")
class StoryBlock:
    is_type_of: ClassVar[Any] = _is(blocks.Story)

    title: str = _of_block("title")
    text: str = _of_block("text", "Lines are parted by line feeds.")
    picture_url: str | None = _of_block("picture_url", "Null without one.")


@strawberry.type(description="A picture that leads to a product.")
class GridItem:
    image_url: str = computed(lambda row: row[0].image_url, "Of the picture.")
    product: ShownListing = computed(lambda row: row[1], "Where it leads.")


@strawberry.type(description="Pictures side by side (宫格).")
class GridBlock:
    is_type_of: ClassVar[Any] = _is(blocks.Grid)

    columns: Int64 = _of_block("columns", "2, 3 or 4.")
    items: Any = strawberry.field(
        resolver=_items,
        graphql_type=list[GridItem],
        description="Row by row: those whose product the store shows now.",
    )


@strawberry.type(description="Products with a time at which something ends (倒计时).")
class CountdownBlock:
    is_type_of: ClassVar[Any] = _is(blocks.Countdown)

    title: str = _of_block("title")
    ends_at: datetime = _of_block("ends_at", "It may be over.")
    products: Any = _products()


StoreBlock = Annotated[
    BannerBlock | PicksBlock | StoryBlock | GridBlock | CountdownBlock,
    strawberry.union("StoreBlock", description="One piece of the decoration of a store (装修)."),
]


@strawberry.input(description="One wide picture.")
class BannerInput:
    image_url: str = strawberry.field(description="An address that begins with https://.")
    title: str = strawberry.field(default="", description="At most 60 characters.")
    product: strawberry.ID | None = strawberry.field(default=None, description="Where it leads: listed in the store.")


@strawberry.input(description="Products that you recommend.")
class PicksInput:
    title: str = strawberry.field(description="1 to 60 characters.")
    products: list[strawberry.ID] = strawberry.field(description="1 to 20, none twice, all listed in the store.")


@strawberry.input(description="Words, with or without a picture.")
class StoryInput:
    title: str = strawberry.field(description="1 to 60 characters.")
    text: str = strawberry.field(description="1 to 5,000 characters.")
    picture_url: str | None = strawberry.field(default=None, description="An address that begins with https://.")


@strawberry.input(description="A picture that leads to a product.")
class GridItemInput:
    image_url: str = strawberry.field(description="An address that begins with https://.")
    product: strawberry.ID = strawberry.field(description="Where it leads: listed in the store.")


@strawberry.input(description="Pictures side by side.")
class GridInput:
    columns: Int64 = strawberry.field(description="2, 3 or 4.")
    items: list[GridItemInput] = strawberry.field(description="1 to 20.")


@strawberry.input(description="Products with a time at which something ends.")
class CountdownInput:
    title: str = strawberry.field(description="1 to 60 characters.")
    ends_at: datetime = strawberry.field(description="With its zone.")
    products: list[strawberry.ID] = strawberry.field(description="1 to 20, none twice, all listed in the store.")


@strawberry.input(one_of=True, description="One block: exactly one of these.")
class StoreBlockInput:
    banner: BannerInput | None = strawberry.field(default=strawberry.UNSET, description="One wide picture.")
    picks: PicksInput | None = strawberry.field(default=strawberry.UNSET, description="Products you recommend.")
    story: StoryInput | None = strawberry.field(default=strawberry.UNSET, description="Words.")
    grid: GridInput | None = strawberry.field(default=strawberry.UNSET, description="Pictures side by side.")
    countdown: CountdownInput | None = strawberry.field(default=strawberry.UNSET, description="Products for a time.")


def given(value: Any) -> Any:
    """What an input holds, without what was left out, its products by key. Raises Refused(BadArgument)."""
    if isinstance(value, list):
        return [given(item) for item in value]
    if isinstance(value, StoreBlockInput):
        ((kind, block),) = _given_fields(value).items()
        return {"type": kind, **block}
    return _given_fields(value) if hasattr(value, "__strawberry_definition__") else value


def _given_fields(value: Any) -> dict[str, Any]:
    held: Mapping[str, Any] = {field.name: getattr(value, field.name) for field in fields(value)}
    return {
        name: _keys(inner) if name in {"product", "products"} else given(inner)
        for name, inner in held.items()
        if inner is not strawberry.UNSET
    }


def _keys(ids: Any) -> Any:
    if isinstance(ids, list):
        return [key_of("product", id_) for id_ in ids]
    return None if ids is None else key_of("product", ids)
