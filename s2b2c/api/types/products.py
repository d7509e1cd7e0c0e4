"""The life of a product: made and revised by its brand, reviewed by the platform, withdrawn by either."""

from typing import Annotated, Any, ClassVar, NamedTuple

import strawberry

from s2b2c import catalogue
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.brands import Brand
from s2b2c.api.types.catalogue import images
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.pricing import TierCostInput
from s2b2c.api.types.product_events import HasEvents
from s2b2c.api.types.revisions import ProductRevision
from s2b2c.api.types.supply import ProductState, SupplyProduct, SupplyVariant


@strawberry.type(description="A product (SPU) as the platform sees it.")
class PlatformProduct(HasEvents):
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("product")
    brand: Brand
    code: str
    title: str
    category: str
    tonalities: list[str] = strawberry.field(description="调性")
    audiences: list[str] = strawberry.field(description="人群")
    images: list[str] = computed(images)
    description: str
    state: ProductState

    @strawberry.field(graphql_type=list[SupplyVariant], description="In the order they were made.")
    @staticmethod
    async def variants(root: strawberry.Parent[Any], info: Info) -> list[catalogue.SupplyVariant]:
        return list(await info.context.load.supply_variants.load(root.id))


@strawberry.type(description="A revision as the platform reviews it (审核).")
class ProductReview(ProductRevision):
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("revision")
    product: PlatformProduct = strawberry.field(description="Of which it is, as it is now.")


class Withdrawal(NamedTuple):
    """What taking a product off the market reaches; `amount` is fen, of its own lines."""

    stores: int
    distributors: int
    orders: int
    amount: int


@strawberry.type(description="What taking a product off the market (撤架) reaches. Paid orders stay, and are shipped.")
class WithdrawalReach:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    stores: Int64 = strawberry.field(description="Stores whose listing of it ends.")
    distributors: Int64 = strawberry.field(description="Owners of these, who are told.")
    orders: Int64 = strawberry.field(description="Orders that hold it, wait for payment, and are cancelled as a whole.")
    amount: Money = strawberry.field(description="What its own lines in these orders cost.")


@strawberry.input(description="One value of a variant.")
class OptionInput:
    name: str = strawberry.field(description="Like 口味.")
    value: str = strawberry.field(description="Like 鸡肉.")


@strawberry.input(
    description="A variant (SKU) to be made. supplyPrice <= minPrice <= suggestedPrice <= maxPrice, in fen of one unit."
)
class NewVariantInput:
    sku: str = strawberry.field(description="1 to 64 characters, not used by a variant of yours yet.")
    options: list[OptionInput] = strawberry.field(
        default_factory=list, description="What tells it from the others: at most 10, each name once."
    )
    stock: Int64 = strawberry.field(description="Units that can be sold.")
    supply_price: Int64 = strawberry.field(description="What the platform owes you for one unit (供货价).")
    suggested_price: Int64 = strawberry.field(description="What you would ask.")
    min_price: Int64 = strawberry.field(description="The least a store may ask (限价).")
    max_price: Int64 = strawberry.field(description="The most a store may ask (限价).")
    tier_costs: list[TierCostInput] = strawberry.field(
        description="At least supplyPrice, and a higher tier never costs more than a lower one; a tier that is not "
        "among them cannot sell the variant."
    )


@strawberry.input(description="A product to be made, with its variants.")
class CreateProductInput:
    code: str = strawberry.field(description="1 to 64 characters, not used by a product of yours yet.")
    title: str = strawberry.field(description="1 to 200 characters.")
    category: str = strawberry.field(description="1 to 200 characters, like 猫粮.")
    tonalities: list[str] = strawberry.field(
        default_factory=list, description="调性: at most 20 of 1 to 40 characters."
    )
    audiences: list[str] = strawberry.field(default_factory=list, description="人群: at most 20 of 1 to 40 characters.")
    images: list[str] = strawberry.field(
        default_factory=list, description="Web addresses of at most 9 pictures; the first stands for all."
    )
    description: str = strawberry.field(default="", description="At most 5000 characters.")
    variants: list[NewVariantInput] = strawberry.field(description="1 to 500, each SKU once.")


@strawberry.input(description="What a product shall say; what is left out stays.")
class ReviseProductInput:
    product: strawberry.ID = strawberry.field(description="The `id` of the product.")
    title: str | None = strawberry.field(default=None, description="1 to 200 characters.")
    category: str | None = strawberry.field(default=None, description="1 to 200 characters, like 猫粮.")
    tonalities: list[str] | None = strawberry.field(
        default=None, description="调性: at most 20, of 1 to 40 characters."
    )
    audiences: list[str] | None = strawberry.field(default=None, description="人群: at most 20, of 1 to 40 characters.")
    images: list[str] | None = strawberry.field(default=None, description="All of them: at most 9 web addresses.")
    description: str | None = strawberry.field(default=None, description="At most 5000 characters.")


@strawberry.input(
    description="A change of what can be sold of a variant: `stock` after a count, `add` when goods come. Units of "
    "orders, paid or not, are out of it already."
)
class StockInput:
    variant: strawberry.ID = strawberry.field(description="The `id` of the variant.")
    stock: Int64 | None = strawberry.field(default=None, description="Units that can be sold from now on.")
    add: Int64 | None = strawberry.field(default=None, description="Units that have come; below 0 those that are gone.")
    seen: Int64 | None = strawberry.field(
        default=None, description="Change it only while so many are left: what was sold meanwhile is not brought back."
    )


@strawberry.type(description="What can be sold of a variant.")
class StockLevel:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("variant")
    sku: str
    stock: Int64 = strawberry.field(description="Units that are left.")


StockLevelResult = Annotated[
    StockLevel | errors.NotFound | errors.WrongState, strawberry.union("SetStockOfVariantResult")
]


@strawberry.type(description="What became of each change, in the order of the request.")
class StockSet:
    results: list[Any] = strawberry.field(graphql_type=list[StockLevelResult])


CreateProductResult = Annotated[
    SupplyProduct | errors.BadArgument | errors.InvalidPrices | errors.NotFound | errors.AlreadyTaken,
    strawberry.union("CreateProductResult"),
]
AddVariantsResult = Annotated[
    SupplyProduct | errors.BadArgument | errors.InvalidPrices | errors.NotFound | errors.AlreadyTaken,
    strawberry.union("AddVariantsResult"),
]
ReviseProductResult = Annotated[
    SupplyProduct | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("ReviseProductResult"),
]
SubmitProductResult = Annotated[
    SupplyProduct | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("SubmitProductResult"),
]
TakeBackProductResult = Annotated[
    SupplyProduct | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("TakeBackProductResult"),
]
SetStockResult = Annotated[StockSet | errors.BadArgument, strawberry.union("SetStockResult")]
ApproveProductResult = Annotated[
    ProductReview | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("ApproveProductResult"),
]
RejectProductResult = Annotated[
    ProductReview | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("RejectProductResult"),
]
WithdrawProductResult = Annotated[
    WithdrawalReach | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("WithdrawProductResult"),
]


@strawberry.type(description="A product that is on offer again (重新上架).")
class ProductRelisted:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("product")
    state: ProductState


RelistProductResult = Annotated[
    ProductRelisted | errors.BadArgument | errors.NotFound | errors.WrongState,
    strawberry.union("RelistProductResult"),
]
