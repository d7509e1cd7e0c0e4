"""Making stores like a model store (标杆复制): its decoration, its hours, its selection."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow, page
from s2b2c.errors import BadArgument, NotFound, Refusal, Refused, WrongState
from s2b2c.models import Listing, Store
from s2b2c.sql import statements
from s2b2c.stores import blocks
from s2b2c.stores.settings import current, texts_of, write_settings
from s2b2c.stores.words import check_words

Part = Literal["decoration", "hours", "listings"]


class Copied(NamedTuple):
    """What copying did to a store: how many of the model's products it added, listed before, or could not list.

    `left_out` are (product_id, `not_on_offer` or `no_price_fits`) in the model's order; None where there are
    several stores.
    """

    store: AnyRow
    settings_changed: bool
    added: int = 0
    kept: int = 0
    not_on_offer: int = 0
    no_price_fits: int = 0
    left_out: Sequence[tuple[int, str]] | None = None


async def mark_model(session: AsyncSession, store_id: int, *, is_model: bool) -> None:
    """Let others copy a store, or not any more. Raises Refused(NotFound), Refused(WrongState) for a closed one."""
    state = await session.scalar(
        update(Store).where(Store.id == store_id).values(is_model=is_model).returning(Store.state)
    )
    if state is None:
        raise Refused(_NO_STORE)
    if is_model and state != "open":
        raise Refused(WrongState("The store is closed: only an open one can be a model."))


async def model_stores(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[Store]:
    """The open stores that others may copy, oldest first; `after` is an (id,)."""
    query = select(Store).where(Store.is_model, Store.state == "open")
    return (await session.scalars(page(query, (Store.id, "up"), after=after, limit=limit))).all()


async def copy_store(
    session: AsyncSession,
    model_id: int,
    store_ids: Sequence[int],
    parts: Collection[Part],
    *,
    account_id: int,
    now: datetime,
    include_words: bool = False,
) -> list[Copied | Refusal]:
    """Make stores like a model store in these parts: of each what that did, or why it could not be done.

    What a store lists already stays as it is, and so do titles and personas. Owners whose stores changed are told.
    Raises Refused(NotFound) when there is no such model, Refused(WrongState) when it is none or is closed, and
    Refused(BadArgument) when a store is named twice, or is the model.
    """
    if len({model_id, *store_ids}) < len(store_ids) + 1:
        raise Refused(BadArgument("A store is named twice, or is the model itself: name each other store once."))
    found = await _lock(session, model_id, store_ids, parts)
    model = found.stores.get(model_id)
    if model is None:
        raise Refused(NotFound("There is no such model store: look at the model stores again."))
    if not model.is_model or model.state != "open":
        raise Refused(WrongState("The store is no open model store: mark it as one first."))
    results = await _copy(session, model, found, store_ids, parts, account_id, now, include_words)
    done = [it for it in results if isinstance(it, Copied) and (it.settings_changed or it.added)]
    if done:
        await session.execute(
            statements("storefronts")["tell_owners"],
            {
                "model": model.title,
                "store_ids": [it.store.id for it in done],
                "added": [it.added for it in done],
                "now": now,
            },
        )
    return results


async def adopt_setup(
    session: AsyncSession,
    slug: str,
    store_id: int,
    parts: Collection[Part],
    *,
    distributor_id: int,
    account_id: int,
    now: datetime,
    include_words: bool = False,
) -> Copied:
    """Make a store of a distributor like a model store, or like another store of its own.

    Raises Refused(NotFound) when either is none that it may see, Refused(WrongState) when the store is closed or the
    distributor may not sell, Refused(BadArgument) when both are the same.
    """
    model_id = await _adoptable(session, slug, distributor_id)
    if model_id == store_id:
        if await session.scalar(select(Store.distributor_id).where(Store.id == store_id)) != distributor_id:
            raise Refused(_NOT_YOURS)
        raise Refused(BadArgument("A store cannot be made like itself: name another one."))
    found = await _lock(session, model_id, [store_id], parts)
    model, store = found.stores.get(model_id), found.stores.get(store_id)
    if store is None or store.distributor_id != distributor_id:
        raise Refused(_NOT_YOURS)
    if model is None or not _may_adopt(model, distributor_id):
        raise Refused(_NO_MODEL)
    (result,) = await _copy(session, model, found, [store_id], parts, account_id, now, include_words)
    if isinstance(result, Refusal):
        raise Refused(result)
    return result


class _Locked(NamedTuple):
    stores: Mapping[int, AnyRow]
    product_ids: list[int]


async def _lock(session: AsyncSession, model_id: int, store_ids: Sequence[int], parts: Collection[Part]) -> _Locked:
    """The model and the stores that are there, locked with the supply and the owners that copying listings rests on."""
    product_ids: list[int] = []
    if "listings" in parts:
        listed = await session.scalars(select(Listing.product_id).where(Listing.store_id == model_id))
        product_ids = list(listed)
    typed = statements("storefronts")["lock_copy"].columns(persona=JSONB, blocks=JSONB, opening_hours=JSONB)
    rows = await session.execute(typed, {"product_ids": product_ids, "store_ids": [model_id, *store_ids]})
    return _Locked({row.id: row for row in rows}, product_ids)


async def _adoptable(session: AsyncSession, slug: str, distributor_id: int) -> int:
    store = await session.scalar(select(Store).where(Store.slug == slug)) if slug.isprintable() else None
    if store is None or not _may_adopt(store, distributor_id):
        raise Refused(_NO_MODEL)
    return store.id


def _may_adopt(model: Any, distributor_id: int) -> bool:
    return bool(model.distributor_id == distributor_id or (model.is_model and model.state == "open"))


async def _copy(
    session: AsyncSession,
    model: AnyRow,
    found: _Locked,
    store_ids: Sequence[int],
    parts: Collection[Part],
    account_id: int,
    now: datetime,
    include_words: bool,  # noqa: FBT001  both callers hand on what they got
) -> list[Copied | Refusal]:
    outcomes = {store_id: _refusal(found.stores.get(store_id)) for store_id in store_ids}
    if "decoration" in parts:
        for store_id, refusal in (await _broken_rules(session, model, found)).items():
            outcomes[store_id] = outcomes[store_id] or refusal
    targets = [found.stores[store_id] for store_id, refusal in outcomes.items() if refusal is None]
    counts: Mapping[int, AnyRow] = {}
    if "listings" in parts:
        counts = await _copy_listings(session, model.id, targets, found.product_ids, account_id, now, include_words)
    changed = await _copy_settings(session, model, targets, parts, account_id, now)
    copied = {store.id: _copied(store, changed, counts.get(store.id), parts, len(targets)) for store in targets}
    return [outcomes[store_id] or copied[store_id] for store_id in store_ids]


async def _broken_rules(session: AsyncSession, model: AnyRow, found: _Locked) -> dict[int, Refusal]:
    """The stores that may not say what the model's decoration says, by the brands they list or are about to."""
    texts = [text for _, text in texts_of("", blocks.written(blocks.read(model.blocks, model.blocks_version)))]
    targets = [store_id for store_id in found.stores if store_id != model.id]
    broken = await check_words(session, targets, texts, product_ids=found.product_ids)
    return {
        store_id: WrongState(
            f"The model's decoration holds the word {rules[0].word}, which {rules[0].brand} bans in this store: "
            "copy the other parts alone, or let the model use other words."
        )
        for store_id, rules in broken.items()
    }


async def _copy_listings(
    session: AsyncSession,
    model_id: int,
    targets: Sequence[AnyRow],
    product_ids: Sequence[int],
    account_id: int,
    now: datetime,
    include_words: bool,  # noqa: FBT001  as above
) -> dict[int, AnyRow]:
    """What became of the model's listings, by store."""
    rows = await session.execute(
        statements("storefronts")["copy_listings"].columns(left_out=JSONB),
        {
            "model_id": model_id,
            "store_ids": [store.id for store in targets],
            "tier_ranks": [store.tier_rank for store in targets],
            "product_ids": list(product_ids),
            "include_words": include_words,
            "account_id": account_id,
            "now": now,
        },
    )
    return {row.store_id: row for row in rows}


async def _copy_settings(
    session: AsyncSession,
    model: AnyRow,
    targets: Sequence[AnyRow],
    parts: Collection[Part],
    account_id: int,
    now: datetime,
) -> set[int]:
    """The ids of those stores whose decoration or hours were something else."""
    if not {"decoration", "hours"}.intersection(parts):
        return set()
    rows = {store.id: current(store) for store in targets}
    if "decoration" in parts:
        decoration = blocks.read(model.blocks, model.blocks_version)
        wanted = {product for _, product in blocks.products(decoration)}
        query = select(Listing.store_id, Listing.product_id).where(
            Listing.store_id.in_(rows), Listing.product_id.in_(wanted)
        )
        listed = {(store_id, product_id) for store_id, product_id in await session.execute(query)}
        for store_id, row in rows.items():
            mine = {product for product in wanted if (store_id, product) in listed}
            row |= {"cover_url": model.cover_url, "blocks": blocks.written(blocks.only_with(decoration, mine))}
    if "hours" in parts:
        for row in rows.values():
            row["opening_hours"] = model.opening_hours
    return await write_settings(session, list(rows.values()), why="copied", account_id=account_id, now=now)


def _copied(
    store: AnyRow, changed: Collection[int], row: AnyRow | None, parts: Collection[Part], targets: int
) -> Copied:
    if row is None:  # the model lists nothing, or listings were not asked for
        return Copied(store, store.id in changed, left_out=[] if "listings" in parts and targets == 1 else None)
    left_out = None if row.left_out is None else [(product, reason) for product, reason in row.left_out]
    return Copied(store, store.id in changed, row.added, row.kept, row.not_on_offer, row.no_price_fits, left_out)


def _refusal(store: AnyRow | None) -> Refusal | None:
    if store is None:
        return _NO_STORE
    if store.state != "open":
        return WrongState("The store is closed: it cannot be changed.")
    if store.owner_state not in {"active", "watch"}:
        return WrongState(f"The owner is {store.owner_state}: only stores of active distributors change.")
    return None


_NO_STORE = NotFound("There is no such store.")
_NOT_YOURS = NotFound("You have no such store: read your stores again.")
_NO_MODEL = NotFound("There is no such model store, nor a store of yours: look at the model stores again.")
