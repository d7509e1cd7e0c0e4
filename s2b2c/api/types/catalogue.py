"""Products and variants, as everybody sees them."""

from typing import Any

import strawberry

from s2b2c.api.context import Info
from s2b2c.api.types.brands import Brand
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of


def images(row: Any) -> list[str]:
    """The addresses of the pictures of a product, in their order."""
    return [] if row.image_url is None else [row.image_url, *row.more_images]


@strawberry.type(description="A product (SPU).")
class Product:
    id: strawberry.ID = id_of("product")
    title: str
    category: str
    tonalities: list[str] = strawberry.field(description="调性")
    audiences: list[str] = strawberry.field(description="人群")
    image_url: str | None
    brand: Brand

    @strawberry.field
    @staticmethod
    async def images(root: strawberry.Parent[Any], info: Info) -> list[str]:
        return images(await info.context.load.product_details.load(root.id))

    @strawberry.field
    @staticmethod
    async def description(root: strawberry.Parent[Any], info: Info) -> str:
        description: str = (await info.context.load.product_details.load(root.id)).description
        return description


@strawberry.type(description="One value of a variant, like 口味 = 鸡肉.")
class Option:
    name: str = strawberry.field(description="Like 口味.")
    value: str = strawberry.field(description="Like 鸡肉.")


def options(row: Any) -> list[Option]:
    return [Option(name=name, value=value) for name, value in row.options.items()]


@strawberry.type(description="A variant (SKU): what is bought.")
class Variant:
    id: strawberry.ID = id_of("variant")
    sku: str
    options: list[Option] = computed(options)
    in_stock: bool
