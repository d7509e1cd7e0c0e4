"""Whoever changes a product locks it first, then distributors, then stores."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.errors import NotFound, Refused
from s2b2c.models import Product


async def lock_product(session: AsyncSession, product_id: int, *, brand_id: int | None) -> Product:
    """A product, of this brand or of any where `brand_id` is None; nobody selects it until the end.

    Raises Refused(NotFound).
    """
    query = select(Product).where(Product.id == product_id)
    if brand_id is not None:
        query = query.where(Product.brand_id == brand_id)
    found = await session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if found is None:
        raise Refused(NotFound("There is no such product: read the products again."))
    return found
