"""What people are told, and whether they read it.

Whatever changes something tells by the same SQL, beside the rows it is about; the words of each kind stand here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import page
from s2b2c.errors import NotFound, Refused
from s2b2c.models import Notice
from s2b2c.money import format_yuan

Language = Literal["zh", "en"]

_WORDS: Mapping[str, Mapping[Language, str]] = {
    "application_approved": {
        "zh": "你的申请已通过：{name}，层级 {tier}。现在可以开始选品。",
        "en": "Your application was approved: {name}, tier {tier}. You can choose products now.",
    },
    "application_rejected": {
        "zh": "你的申请未通过：{reason}",
        "en": "Your application was not approved: {reason}",
    },
    "moved": {
        "zh": "你的上级由 {old_parent} 变更为 {new_parent}：{reason}",
        "en": "Your upline has changed from {old_parent} to {new_parent}: {reason}",
    },
    "suspended": {
        "zh": "你的账号已停用，停用期间不计佣金：{reason}",
        "en": "You are suspended and earn nothing until that ends: {reason}",
    },
    "reinstated": {
        "zh": "你的账号已恢复：{reason}",
        "en": "You are active again: {reason}",
    },
    "listing_clamped": {
        "zh": "「{product}」在店铺「{store}」的售价由 {old_price} 元改为 {new_price} 元：限价或你的拿货价有变。",
        "en": "“{product}” in “{store}” now costs {new_price} yuan, not {old_price}: its band or your cost has moved.",
    },
    "listing_withdrawn": {
        "zh": "「{product}」（{old_price} 元）已从店铺「{store}」下架：限价或你的拿货价有变，没有可用的售价。",
        "en": "“{product}” ({old_price} yuan) has left “{store}”: its band or your cost has moved, and no price fits.",
    },
    "statement_ready": {
        "zh": "截至 {cutoff} 的结算单已生成：{lines} 条明细，共 {net_amount} 元。",
        "en": "Your statement up to {cutoff} is ready: {lines} lines, {net_amount} yuan.",
    },
}  # fmt: skip
_NOBODY: Mapping[Language, str] = {"zh": "平台", "en": "the platform"}


def words(kind: str, facts: Mapping[str, Any], language: Language) -> str:
    """What a notice says. Facts whose name ends in `price` or `amount` are fen and shown in yuan."""
    shown = {
        name: _NOBODY[language]
        if value is None
        else format_yuan(value)
        if name.endswith(("price", "amount"))
        else value
        for name, value in facts.items()
    }
    return _WORDS[kind][language].format(**shown)


async def notices(
    session: AsyncSession,
    *,
    distributor_id: int | None,
    brand_id: int | None,
    unread_only: bool,
    after: tuple[int, ...] | None,
    limit: int,
) -> Sequence[Notice]:
    """What one distributor or one brand was told, newest first; `after` is an (id,)."""
    query = select(Notice).where(_to(distributor_id, brand_id))
    if unread_only:
        query = query.where(Notice.read_at.is_(None))
    return (await session.scalars(page(query, (Notice.id, "down"), after=after, limit=limit))).all()


async def unread(session: AsyncSession, *, distributor_id: int | None, brand_id: int | None) -> int:
    query = select(func.count()).where(_to(distributor_id, brand_id), Notice.read_at.is_(None))
    return await session.scalar(query) or 0


async def mark_read(
    session: AsyncSession, ids: Sequence[int], *, distributor_id: int | None, brand_id: int | None, now: datetime
) -> Sequence[Notice]:
    """Mark notices as read and return them, newest first; one that was read before keeps its time.

    Raises Refused(NotFound) when one of them was told to somebody else, or to nobody.
    """
    marked = (
        await session.scalars(
            update(Notice)
            .where(_to(distributor_id, brand_id), Notice.id.in_(ids))
            .values(read_at=func.coalesce(Notice.read_at, func.greatest(now, Notice.created_at)))
            .returning(Notice),
            execution_options={"populate_existing": True},
        )
    ).all()
    if len(marked) < len(set(ids)):
        raise Refused(NotFound("Not all of these are notices to you: read your notices again."))
    return sorted(marked, key=lambda notice: -notice.id)


def _to(distributor_id: int | None, brand_id: int | None) -> ColumnElement[bool]:
    return Notice.brand_id == brand_id if distributor_id is None else Notice.distributor_id == distributor_id
