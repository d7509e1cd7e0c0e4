"""The look, the words and the hours of a store: how its owner changes them, and what they were."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from sqlalchemy import TextualSelect, func, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import AnyRow
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refused, WrongState
from s2b2c.models import Brand, Distributor, Listing, Store
from s2b2c.models.stores import SLUG
from s2b2c.sql import statements
from s2b2c.stores import blocks
from s2b2c.stores.blocks import Block, Blocks, Url
from s2b2c.stores.hours import OpeningHours
from s2b2c.stores.shelf import check_may_change, lock_shelf
from s2b2c.stores.words import check_words

MAX_STORES = 20
"""Of a distributor."""
Name = Annotated[str, StringConstraints(min_length=1, max_length=60)]


class Persona(BaseModel):
    """Who speaks to customers (人设): the owner of a store, or a brand."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    name: Name
    avatar_url: Url | None = None
    story: Annotated[str, Field(max_length=2000)] = ""


class NewStore(BaseModel):
    """A store before it is there; without a region it is in that of its owner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slug: Annotated[str, Field(max_length=64, pattern=f"^{SLUG}$")]
    title: Name
    region: Name | None = None


class Settings(BaseModel):
    """What shall be different about a store; what is not given stays, None takes away."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    title: Name = ""
    region: Name = ""
    persona: Persona | None = None
    cover_url: Url | None = None
    blocks: Blocks = []
    opening_hours: OpeningHours | None = None


Model = TypeVar("Model", bound=BaseModel)
SETTINGS: Final = ("title", "region", "persona", "cover_url", "blocks", "opening_hours")


def checked(model: type[Model], given: Mapping[str, Any], *, at: str = "") -> Model:
    """What a client sent, in the names of the API or of here.

    Raises Refused(BadArgument) with the path of what is wrong.
    """
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = at + "".join(f"[{step}]" if isinstance(step, int) else f".{to_camel(step)}" for step in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise Refused(BadArgument(f"{path.removeprefix('.')}: {message}.")) from None


def _check_texts(texts: Mapping[str, str]) -> None:
    """Raises Refused(BadArgument) with the path of a text that cannot be shown."""
    for path, text in texts.items():
        if not text.strip() or not text.replace("\n", "").isprintable():
            raise Refused(BadArgument(f"{path}: a text is empty or holds a character that cannot be printed."))


async def _check_rules(session: AsyncSession, store_id: int, texts: Mapping[str, str]) -> None:
    """Raises Refused(BadArgument) with the path of a text that a brand in this store bans a word of."""
    for broken in (await check_words(session, [store_id], list(texts.values()))).get(store_id, []):
        path = list(texts)[broken.number]
        raise Refused(BadArgument(f"{path}: {broken.brand} bans the word {broken.word}: use other words."))


async def create_store(
    session: AsyncSession, given: Mapping[str, Any], *, distributor_id: int, account_id: int, now: datetime
) -> Store:
    """A store of this distributor, open and empty, from what is given of `NewStore`.

    Raises Refused: BadArgument with the path of what can never be right, AlreadyTaken for a slug that leads somewhere,
    WrongState for one that may not sell or has as many stores as anybody may.
    """
    new = checked(NewStore, given)
    _check_texts({name: text for name, text in (("title", new.title), ("region", new.region)) if text is not None})
    locked = select(Distributor).where(Distributor.id == distributor_id).with_for_update(key_share=True)
    owner = (await session.scalars(locked, execution_options={"populate_existing": True})).one()
    check_may_change(owner.state)
    count = await session.scalar(select(func.count()).where(Store.distributor_id == distributor_id))
    if (count or 0) >= MAX_STORES:
        raise Refused(WrongState(f"You have {count} stores, closed ones included: nobody has more."))
    made = {
        "slug": new.slug,
        "distributor_id": distributor_id,
        "title": new.title,
        "region": new.region or owner.region,
        "changed_at": now,
        "why": "created",
        "account_id": account_id,
    }
    store: Store | None = await session.scalar(insert(Store).values(made).on_conflict_do_nothing().returning(Store))
    if store is None:
        raise Refused(AlreadyTaken(f"Another store is called {new.slug}: choose another slug."))
    return store


async def update_store(
    session: AsyncSession,
    store_id: int,
    given: Mapping[str, Any],
    *,
    distributor_id: int,
    account_id: int,
    now: datetime,
) -> Store:
    """Change what is given of `Settings`, all of it or nothing. What it was before is kept.

    Raises Refused(BadArgument) with the path of what can never be right or may not be said, Refused(NotFound) when the
    store is not of this distributor, or does not list a product of its blocks, and Refused(WrongState) when it is
    closed or its owner may not sell.
    """
    settings = checked(Settings, given)
    texts = dict(texts_of("", settings.model_dump()))
    _check_texts(texts)
    store = await lock_shelf(session, store_id, distributor_id, [])
    await _check_rules(session, store_id, texts)
    await _check_products(session, store_id, settings.blocks)
    changed = {**current(store), **stored(settings)}
    await write_settings(session, [changed], why="edited", account_id=account_id, now=now)
    found = await session.get(Store, store_id, populate_existing=True)
    assert found is not None, "it is locked"
    return found


def current(store: Any) -> dict[str, Any]:
    """The settings of a row of a store, as they are stored, its blocks in the newest version."""
    now_shown = blocks.written(blocks.read(store.blocks, store.blocks_version))
    return {"id": store.id, **{name: getattr(store, name) for name in SETTINGS}, "blocks": now_shown}


def stored(settings: Settings) -> dict[str, Any]:
    """What is given, as it is stored."""
    found = settings.model_dump(mode="json", include=settings.model_fields_set)
    if "blocks" in found:
        found["blocks"] = blocks.written(settings.blocks)
    if settings.opening_hours is not None and settings.opening_hours.is_always:
        found["opening_hours"] = None
    return found


async def write_settings(
    session: AsyncSession, rows: Sequence[Mapping[str, Any]], *, why: str, account_id: int, now: datetime
) -> set[int]:
    """Make stores what the rows of (id, title, region, persona, cover_url, blocks, opening_hours) say.

    They are locked. Returns the ids of those that were something else; what they were is kept.
    """
    changed = await session.scalars(
        statements("storefronts")["write_settings"],
        {
            "settings": to_json(list(rows)).decode(),
            "version": blocks.VERSION,
            "why": why,
            "account_id": account_id,
            "now": now,
        },
    )
    return set(changed)


async def set_persona(session: AsyncSession, brand_id: int, given: Mapping[str, Any] | None) -> Persona | None:
    """What a brand tells of itself, or nothing any more. Raises Refused(BadArgument)."""
    persona = None if given is None else checked(Persona, given, at="persona")
    if persona is not None:
        _check_texts(dict(texts_of("persona", persona.model_dump())))
    told = None if persona is None else persona.model_dump(mode="json")
    await session.execute(update(Brand).where(Brand.id == brand_id).values(persona=told))
    return persona


async def personas(session: AsyncSession, brand_ids: Sequence[int]) -> dict[int, dict[str, Any] | None]:
    """What these brands tell of themselves."""
    rows = await session.execute(select(Brand.id, Brand.persona).where(Brand.id.in_(brand_ids)))
    return {row.id: row.persona for row in rows}


async def store_at(session: AsyncSession, slug: str, at: datetime) -> AnyRow | None:
    """What a store was at a moment: a row like those of `stores_at`. None without such a store."""
    if not slug.isprintable():  # no text in PostgreSQL holds a NUL or half a surrogate pair
        return None
    found = await session.execute(_then("store_at"), {"slug": slug, "at": at})
    return found.one_or_none()


async def stores_at(
    session: AsyncSession, wanted: Sequence[tuple[int, datetime]]
) -> dict[tuple[int, datetime], AnyRow]:
    """What stores were at moments, by (store_id, moment).

    Rows of (id, slug, at, distributor_id, title, region, state, persona, cover_url, blocks, blocks_version,
    opening_hours, since, until, why, account_id): `since` is None where nobody knows since when, `until` None where it
    is like that now.
    """
    asked = {"store_ids": [store_id for store_id, _ in wanted], "moments": [at for _, at in wanted]}
    return {(row.id, row.at): row for row in await session.execute(_then("stores_at"), asked)}


def _then(name: str) -> TextualSelect:
    return statements("storefronts")[name].columns(persona=JSONB, blocks=JSONB, opening_hours=JSONB)


async def _check_products(session: AsyncSession, store_id: int, chosen: Sequence[Block]) -> None:
    wanted = list(blocks.products(chosen))
    if not wanted:
        return
    keys = {product for _, product in wanted}
    query = select(Listing.product_id).where(Listing.store_id == store_id, Listing.product_id.in_(keys))
    listed = set(await session.scalars(query))
    for path, product in wanted:
        if product not in listed:
            raise Refused(NotFound(f"{path}: the store does not list this product. Choose it first, or take it out."))


def texts_of(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """The words for people in a document that are not empty, by their paths."""
    if isinstance(value, dict):
        path += f".{value['type']}" if "type" in value else ""
        for name, inner in value.items():
            if name != "type" and not name.endswith("_url"):
                yield from texts_of(f"{path}.{to_camel(name)}" if path else to_camel(name), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from texts_of(f"{path}[{number}]", inner)
    elif isinstance(value, str) and value:
        yield path, value
