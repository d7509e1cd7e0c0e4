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
    "eliminated": {
        "zh": "你已退出分销网络：{reason}。店铺已关闭（{stores} 家），{customers} 位顾客与 {downlines} 位下级已转给"
        "{home}；未结佣金 {open_amount} 元仍会结算支付。你仍可登录查看通知、结算单与打款，并填写收款信息。",
        "en": "You have left the network: {reason}. Your stores are closed ({stores}), {customers} customers and "
        "{downlines} downlines are with {home} now; open commissions of {open_amount} yuan are still settled and paid. "
        "You can sign in to read notices, statements and payouts, and to say where money goes.",
    },
    "took_over": {
        "zh": "{name} 已退出分销网络，其 {customers} 位顾客与 {downlines} 位下级现归你。",
        "en": "{name} has left the network: {customers} customers and {downlines} downlines of it are yours now.",
    },
    "elimination_undone": {
        "zh": "你已恢复：{reason}。重新开放店铺 {stores} 家，归还顾客 {customers} 位、下级 {downlines} 位。"
        "请重新登录。",
        "en": "You are active again: {reason}. {stores} of your stores are open, {customers} customers and {downlines} "
        "downlines are yours again. Sign in anew.",
    },
    "listing_clamped": {
        "zh": "「{product}」在店铺「{store}」的售价由 {old_price} 元改为 {new_price} 元：限价或你的拿货价有变。",
        "en": "“{product}” in “{store}” now costs {new_price} yuan, not {old_price}: its band or your cost has moved.",
    },
    "listing_withdrawn": {
        "zh": "「{product}」（{old_price} 元）已从店铺「{store}」下架：限价或你的拿货价有变，没有可用的售价。",
        "en": "“{product}” ({old_price} yuan) has left “{store}”: its band or your cost has moved, and no price fits.",
    },
    "listings_fitted": {
        "zh": "限价、拿货价或品牌规则有变：改价 {clamped} 件，下架 {withdrawn} 件，清空文案 {emptied} 件。"
        "其中：{first}。",
        "en": "Bands, costs or rules have moved: {clamped} repriced, {withdrawn} withdrawn, {emptied} without "
        "their words. Among them: {first}.",
    },
    "words_removed": {
        "zh": "「{product}」在店铺「{store}」的自写文案已清空：不符合品牌的新规则。",
        "en": "Your words for “{product}” in “{store}” are gone: they break the new rules of its brand.",
    },
    "price_change_refused": {
        "zh": "SKU {sku} 原定 {starts_at} 的改价没有生效：商品已下架。",
        "en": "The new prices of SKU {sku} for {starts_at} were not applied: its product is delisted.",
    },
    "setup_copied": {
        "zh": "平台已将标杆店「{model}」的设置复制到你的店铺「{stores}」：新增商品 {products} 个，原有选品未改动。",
        "en": "The platform has copied the setup of “{model}” to “{stores}”: {products} products came in, yours stay.",
    },
    "statement_ready": {
        "zh": "截至 {cutoff} 的结算单已生成：{lines} 条明细，共 {net_amount} 元。",
        "en": "Your statement up to {cutoff} is ready: {lines} lines, {net_amount} yuan.",
    },
    "dispute_accepted": {
        "zh": "你对截至 {cutoff} 结算单的异议已采纳，将调整 {adjusted_amount} 元：{answer}",
        "en": "Your dispute of the statement up to {cutoff} was accepted, by {adjusted_amount} yuan: {answer}",
    },
    "dispute_rejected": {
        "zh": "你对截至 {cutoff} 结算单的异议未被采纳：{answer}",
        "en": "Your dispute of the statement up to {cutoff} was rejected: {answer}",
    },
    "statement_postponed": {
        "zh": "你有异议的截至 {cutoff} 的结算单（{net_amount} 元）未在本期支付，其明细转入下一期结算单。",
        "en": "The statement up to {cutoff} that you dispute ({net_amount} yuan) is not paid now: all of it comes with "
        "the next.",
    },
    "statement_discarded": {
        "zh": "截至 {cutoff} 的结算单已作废，将重新出具。",
        "en": "Your statement up to {cutoff} was withdrawn; another one follows.",
    },
    "product_approved": {
        "zh": "「{product}」已通过平台审核，已上架。",
        "en": "“{product}” was approved and is listed.",
    },
    "product_rejected": {
        "zh": "「{product}」未通过平台审核：{reason}",
        "en": "“{product}” was not approved: {reason}",
    },
    "product_withdrawn": {
        "zh": "「{product}」已停止供应，已从你的 {stores} 家店铺下架，未付款的订单已取消：{reason}",
        "en": "“{product}” is supplied no more and left {stores} of your stores; unpaid orders are cancelled: {reason}",
    },
    "product_delisted": {
        "zh": "平台已下架「{product}」：{reason}",
        "en": "The platform has delisted “{product}”: {reason}",
    },
    "product_relisted": {
        "zh": "平台已重新上架「{product}」，店铺可以再次选品。",
        "en": "The platform has listed “{product}” again: stores can choose it anew.",
    },
    "ranking_watched": {
        "zh": "{period} 排名：你在同组 {members} 人中列第 {rank} 名，处于末位（第 {strikes} 次，满 {limit} 次"
        "将收到通知）。最需改进：{improve}。",
        "en": "{period}: place {rank} of {members}, in the tail. Strike {strikes}; with {limit} there is a notice. "
        "What would help most: {improve}.",
    },
    "ranking_noticed": {
        "zh": "{period} 排名：你在同组 {members} 人中列第 {rank} 名，第 {strikes} 次处于末位，可能被淘汰。"
        "{until} 前可申诉；之后由平台人员决定。最需改进：{improve}。",
        "en": "{period}: place {rank} of {members}, in the tail, strike {strikes}: you may be eliminated. You "
        "can appeal until {until}; after that a person decides. What would help most: {improve}.",
    },
    "ranking_cleared": {
        "zh": "{period} 排名：你在同组 {members} 人中列第 {rank} 名，已离开末位，观察与通知全部取消。",
        "en": "{period}: place {rank} of {members}, out of the tail: watch and notice are over.",
    },
    "appeal_upheld": {
        "zh": "你的申诉成立，末位记录已清除：{reason}",
        "en": "Your appeal was upheld, your strikes are gone: {reason}",
    },
    "appeal_rejected": {
        "zh": "你的申诉未被采纳，平台将决定是否淘汰：{reason}",
        "en": "Your appeal was rejected, and the platform decides whether you are eliminated: {reason}",
    },
    "ranking_spared": {
        "zh": "平台决定不淘汰，末位记录已清除：{reason}",
        "en": "The platform has decided that you stay, your strikes are gone: {reason}",
    },
    "improvement_planned": {
        "zh": "平台为你制定了改进计划：{reason}",
        "en": "The platform has made a plan with you to get better: {reason}",
    },
}  # fmt: skip
_LISTING: Mapping[str, Mapping[Language, str]] = {
    "withdrawn": {"zh": "「{product}」（{store}）下架", "en": "“{product}” ({store}) withdrawn"},
    "repriced": {
        "zh": "「{product}」（{store}）{old_price} → {new_price} 元",
        "en": "“{product}” ({store}) {old_price} → {new_price} yuan",
    },
    "emptied": {"zh": "「{product}」（{store}）文案", "en": "“{product}” ({store}) words"},
}
"""One of several listings that a notice is about; `new_price` is missing where it was withdrawn."""
_BETWEEN: Mapping[Language, str] = {"zh": "；", "en": "; "}
_NOBODY: Mapping[Language, str] = {"zh": "平台", "en": "the platform"}


def words(kind: str, facts: Mapping[str, Any], language: Language) -> str:
    """What a notice says. Facts whose name ends in `price` or `amount` are fen, shown in yuan; lists hold listings, and
    what differs by language is there in each."""
    return _WORDS[kind][language].format(**{name: _shown(name, value, language) for name, value in facts.items()})


def _shown(name: str, value: Any, language: Language) -> Any:
    if value is None:
        return _NOBODY[language]
    if isinstance(value, dict):
        return value[language]
    if isinstance(value, list):
        return _BETWEEN[language].join(_listing(listing, language) for listing in value)
    return format_yuan(value) if name.endswith(("price", "amount")) else value


def _listing(facts: Mapping[str, Any], language: Language) -> str:
    if "new_price" not in facts:
        kind = "withdrawn"
    else:
        kind = "emptied" if facts["new_price"] == facts["old_price"] else "repriced"
    return _LISTING[kind][language].format(**{name: _shown(name, value, language) for name, value in facts.items()})


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
