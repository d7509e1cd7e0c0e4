"""The platform's review of products, and their withdrawal by the platform or by their brand."""

from typing import Any

import strawberry

from s2b2c import catalogue, orders, payments
from s2b2c.accounts import Viewer
from s2b2c.api.access import OperatorDoor, SupplyDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.products import (
    ApproveProductResult,
    PlatformProduct,
    ProductReview,
    RejectProductResult,
    RelistProductResult,
    Withdrawal,
    WithdrawalReach,
    WithdrawProductResult,
)
from s2b2c.api.types.supply import ProductState
from s2b2c.db import AnyRow


@strawberry.type
class Withdrawals:
    """The field of a door whose viewer may take products off the market."""

    @strawberry.field(
        graphql_type=WithdrawalReach | None,
        description="What withdrawing a product would reach now; null where you see no such product.",
    )
    @staticmethod
    async def withdrawal_preview(
        root: strawberry.Parent[Viewer], info: Info, product: strawberry.ID
    ) -> Withdrawal | None:
        key = key_of("product", product)
        async with info.context.db.snapshot() as session:
            reached = await catalogue.reach(session, key, brand_id=root.brand_id)
            if reached is None:
                return None
            unpaid = await orders.unpaid_with(session, key)
        return Withdrawal(*reached, len(unpaid.orders.order_ids), unpaid.amount)


@strawberry.type
class Reviews:
    """The fields of a door that reviews products."""

    @strawberry.field(
        graphql_type=Connection[PlatformProduct],
        description="What brands supply, newest first. `search` is part of a title, of a code or of a SKU.",
    )
    @staticmethod
    async def products(
        info: Info,
        search: str | None = None,
        state: ProductState | None = None,
        brand: strawberry.ID | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("platform-product", first, after, key_length=1)
        brand_id = None if brand is None else key_of("brand", brand)
        async with info.context.db.read() as session:
            rows = await catalogue.products_of_brand(
                session,
                brand_id,
                search=search,
                state=None if state is None else state.value,
                after=page.after,
                limit=page.limit,
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[ProductReview],
        description="Revisions that wait for your answer, those that have waited longest first.",
    )
    @staticmethod
    async def product_reviews(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("product-review", first, after, key_length=2)
        async with info.context.db.read() as session:
            rows = await catalogue.in_review(session, after=page.after, limit=page.limit)
        return page.connection(rows, catalogue.review_key)


@strawberry.type
class ReviewMutation:
    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=ApproveProductResult,
        description="Make the revision that you looked at what its product says, and list the product where it is not. "
        "The brand is told.",
    )
    async def approve_product(self, info: Info, revision: strawberry.ID) -> catalogue.Revision:
        viewer = await info.context.viewer()
        key = key_of("revision", revision)
        async with info.context.db.write() as session:
            await catalogue.approve(session, key, now=info.context.clock(), account_id=viewer.account_id)
            return await catalogue.revision(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=RejectProductResult,
        description="Turn the revision that you looked at down; the brand is told the reason, and may change it and "
        "submit it again. What is live stays.",
    )
    async def reject_product(self, info: Info, revision: strawberry.ID, reason: str) -> catalogue.Revision:
        viewer = await info.context.viewer()
        key = key_of("revision", revision)
        async with info.context.db.write() as session:
            await catalogue.reject(session, key, reason, now=info.context.clock(), account_id=viewer.account_id)
            return await catalogue.revision(session, key)

    @strawberry.mutation(
        permission_classes=[SupplyDoor],
        graphql_type=WithdrawProductResult,
        description="Take a product off the market (撤架) at once: it leaves all stores, whose owners are told the "
        "reason; orders with it that are not paid yet are cancelled, and paid ones are shipped. What was in review "
        "is a draft again.",
    )
    async def withdraw_product(self, info: Info, product: strawberry.ID, reason: str) -> Withdrawal:
        viewer, now = await info.context.viewer(), info.context.clock()
        key = key_of("product", product)
        async with info.context.db.write() as session:
            left = await catalogue.withdraw(
                session, key, reason, brand_id=viewer.brand_id, now=now, account_id=viewer.account_id
            )
            unpaid = await orders.cancel_withdrawn(session, key, now)
            await payments.cancel_payments(session, unpaid.orders)
            done = Withdrawal(*left, len(unpaid.orders.order_ids), unpaid.amount)
            await catalogue.record(
                session,
                key,
                "withdrawn",
                now=now,
                account_id=viewer.account_id,
                reason=reason,
                facts=done._asdict(),
            )
        return done

    @strawberry.mutation(
        permission_classes=[SupplyDoor],
        graphql_type=RelistProductResult,
        description="Put a product on offer again that you withdrew; stores choose it anew. What the platform withdrew "
        "its brand submits for review instead.",
    )
    async def relist_product(self, info: Info, product: strawberry.ID) -> AnyRow | None:
        viewer = await info.context.viewer()
        key = key_of("product", product)
        async with info.context.db.write() as session:
            await catalogue.relist(
                session, key, brand_id=viewer.brand_id, now=info.context.clock(), account_id=viewer.account_id
            )
            return await catalogue.product_of_brand(session, viewer.brand_id, key)
