"""Brands' supply: products, prices, stock."""

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import Brand


async def brand(session: AsyncSession, brand_id: int) -> Brand:
    return await session.get_one(Brand, brand_id)
