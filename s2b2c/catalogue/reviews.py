"""What brands want their products to say, and the platform's word on it.

A draft is the brand's to change. Once submitted it stays as it is: the platform approves or rejects what it has looked
at, or the brand takes it back. A product that is live stays so, with its old content, while a revision is reviewed.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, Text, any_, case, cast, func, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Bundle

from s2b2c.catalogue.content import FieldDiff, check_content, diff
from s2b2c.catalogue.events import record
from s2b2c.catalogue.indexing import mark_stale
from s2b2c.catalogue.locking import lock_product
from s2b2c.catalogue.variants import NewVariant, insert_variants, lock_brand
from s2b2c.db import MAX_INT64, AnyRow, page
from s2b2c.errors import AlreadyTaken, BadArgument, NotFound, Refused, WrongState, check_line
from s2b2c.models import Brand, Notice, Product, ProductRevision

MAX_REASON_LENGTH = 500
_OPEN = ("draft", "in_review")
_NEVER_LIVE = ("draft", "in_review")


class Revision(NamedTuple):
    """A revision and how it differs from what is live; of one that is over, from what was live then."""

    id: int
    product_id: int
    state: str
    created_at: datetime
    submitted_at: datetime | None
    reviewed_at: datetime | None
    reason: str | None
    diff: list[FieldDiff]
    product: AnyRow


async def create_product(
    session: AsyncSession,
    brand_id: int,
    code: str,
    content: Mapping[str, Any],
    variants: Sequence[NewVariant],
    *,
    now: datetime,
    account_id: int,
) -> int:
    """A product in the state draft, with its first revision: all of `content`. Returns its id.

    Raises Refused: BadArgument, InvalidPrices, NotFound for a tier, AlreadyTaken for a code or a SKU that the brand
    has already.
    """
    check_line("code", code, 64)
    check_content(content)
    await lock_brand(session, brand_id)
    images = content["images"]
    product_id: int | None = await session.scalar(
        insert_unless(Product)
        .values(
            brand_id=brand_id,
            code=code,
            title=content["title"],
            category=content["category"],
            tonalities=content["tonalities"],
            audiences=content["audiences"],
            image_url=images[0] if images else None,
            more_images=images[1:],
            description=content["description"],
            state="draft",
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(Product.id)
    )
    if product_id is None:
        raise Refused(AlreadyTaken(f"You have a product with the code {code} already: choose another code."))
    await insert_variants(session, product_id, variants, brand_id=brand_id)
    await _draft(session, product_id, content, now=now, account_id=account_id)
    await record(session, product_id, "created", now=now, account_id=account_id)
    return product_id


async def revise(
    session: AsyncSession,
    product_id: int,
    changes: Mapping[str, Any],
    *,
    brand_id: int,
    now: datetime,
    account_id: int,
) -> None:
    """Put changes into the open revision of a product, made where there is none; what is not given stays.

    A product that was never live says so at once: nobody but its brand and the platform sees it.

    Raises Refused: BadArgument, NotFound, and WrongState while a revision is in review.
    """
    if not changes:
        raise Refused(BadArgument("Nothing is to change: send what shall be different."))
    check_content(changes)
    product = await lock_product(session, product_id, brand_id=brand_id)
    revision = await _open(session, product_id)
    if revision is None:
        await _draft(session, product_id, changes, now=now, account_id=account_id)
    elif revision.state == "in_review":
        raise Refused(WrongState("A revision is in review: take it back first, or wait for the answer."))
    else:
        revision.content = {**revision.content, **changes}
    if product.state == "draft":
        _put(product, changes)
    await session.flush()


async def submit(session: AsyncSession, product_id: int, *, brand_id: int, now: datetime, account_id: int) -> None:
    """Ask the platform to review the draft. A delisted product may be submitted as it is, to be listed again.

    Raises Refused: NotFound, and WrongState when nothing is there to be reviewed, or is in review already.
    """
    product = await lock_product(session, product_id, brand_id=brand_id)
    revision = await _open(session, product_id)
    if revision is not None and revision.state == "in_review":
        raise Refused(WrongState("It is in review already: wait for the answer, or take it back."))
    if product.state == "listed" and (revision is None or not diff(revision.content, await _live(session, product_id))):
        raise Refused(WrongState("Nothing differs from what is live: revise the product first."))
    if revision is None:
        revision = await _draft(session, product_id, {}, now=now, account_id=account_id)
    revision.state, revision.submitted_at = "in_review", max(now, revision.created_at)
    revision.submitted_by = account_id
    if product.state == "draft":
        product.state = "in_review"
    await record(session, product_id, "submitted", now=now, account_id=account_id)


async def take_back(session: AsyncSession, product_id: int, *, brand_id: int, now: datetime, account_id: int) -> None:
    """End the review of a product without an answer; its content is a draft again.

    Raises Refused: NotFound, and WrongState when nothing is in review.
    """
    product = await lock_product(session, product_id, brand_id=brand_id)
    if not await reopen(session, product, now=now):
        raise Refused(WrongState("Nothing of it is in review."))
    await record(session, product_id, "taken_back", now=now, account_id=account_id)


async def approve(session: AsyncSession, revision_id: int, *, now: datetime, account_id: int) -> None:
    """Make a revision what the product says, and list it where it is not. The brand is told.

    Raises Refused: NotFound, and WrongState for a revision that is not in review any more.
    """
    product, revision = await _in_review(session, revision_id)
    await _close(session, revision, "approved", now=now, account_id=account_id)
    _put(product, revision.content)
    was, product.state = product.state, "listed"
    await mark_stale(session, product.id)
    await record(session, product.id, "approved", now=now, account_id=account_id)
    if was != "listed":
        await record(session, product.id, "listed", now=now, account_id=account_id)
    await tell_brand(session, product, "product_approved", now=now)


async def reject(session: AsyncSession, revision_id: int, reason: str, *, now: datetime, account_id: int) -> None:
    """Turn a revision down; its content is a draft of the brand's again, and the brand is told the reason.

    Raises Refused as `approve`, and BadArgument for a reason that cannot be kept.
    """
    check_line("reason", reason, MAX_REASON_LENGTH)
    product, revision = await _in_review(session, revision_id)
    await _end(session, product, revision, "rejected", now=now, reason=reason, account_id=account_id)
    await record(session, product.id, "rejected", now=now, account_id=account_id, reason=reason)
    await tell_brand(session, product, "product_rejected", now=now, reason=reason)


async def reopen(session: AsyncSession, product: Product, *, now: datetime) -> bool:
    """End the review of a product that the caller has locked, and go on in a draft; whether there was a review."""
    revision = await _open(session, product.id)
    if revision is None or revision.state != "in_review":
        return False
    await _end(session, product, revision, "withdrawn", now=now)
    return True


async def tell_brand(session: AsyncSession, product: Product, kind: str, *, now: datetime, **facts: str) -> None:
    await session.execute(
        insert(Notice).values(
            brand_id=product.brand_id, kind=kind, facts={"product": product.title, **facts}, created_at=now
        )
    )


async def open_revisions(session: AsyncSession, product_ids: Sequence[int]) -> dict[int, Revision]:
    """The open revisions of these products, by product_id."""
    wanted = any_(literal(list(product_ids), ARRAY(BigInteger)))
    query = _shown().where(ProductRevision.product_id == wanted, ProductRevision.state.in_(_OPEN))
    return {row.product_id: _revision(row) for row in await session.execute(query)}


class ReviewsPage(NamedTuple):
    """Some of the past revisions of a product; `after` is an (id,)."""

    product_id: int
    after: tuple[int, ...] | None
    limit: int


async def past_revisions(session: AsyncSession, pages: Sequence[ReviewsPage]) -> list[Sequence[Revision]]:
    """For each page at most `limit` revisions that are over, newest first."""
    asked = (
        func.unnest(
            cast([it.product_id for it in pages], ARRAY(BigInteger)),
            cast([it.after[0] if it.after else MAX_INT64 for it in pages], ARRAY(BigInteger)),
        )
        .table_valued("product_id", "before", with_ordinality="n")
        .render_derived(name="asked")
    )
    ranked = (
        select(
            ProductRevision.id,
            asked.c.n,
            func.row_number().over(partition_by=asked.c.n, order_by=ProductRevision.id.desc()).label("rank"),
        )
        .join(asked, asked.c.product_id == ProductRevision.product_id)
        .where(ProductRevision.state.not_in(_OPEN), ProductRevision.id < asked.c.before)
        .subquery()
    )
    rows = await session.execute(
        _shown()
        .add_columns(ranked.c.n)
        .join(ranked, ranked.c.id == ProductRevision.id)
        .where(ranked.c.rank <= max(it.limit for it in pages))
        .order_by(ProductRevision.id.desc())
    )
    found: list[list[Revision]] = [[] for _ in pages]
    for row in rows:
        found[row.n - 1].append(_revision(row))
    return [revisions[: it.limit] for it, revisions in zip(pages, found, strict=True)]


async def in_review(session: AsyncSession, *, after: tuple[int, ...] | None, limit: int) -> Sequence[Revision]:
    """The revisions that wait for the platform, the oldest first; `after` is a `review_key`."""
    query = _shown().where(ProductRevision.state == "in_review")
    rows = await session.execute(page(query, (_SUBMITTED, "up"), (ProductRevision.id, "up"), after=after, limit=limit))
    return [_revision(row) for row in rows]


def review_key(revision: Revision) -> tuple[int, int]:
    assert revision.submitted_at is not None, "what is in review was submitted"
    seconds = int(revision.submitted_at.timestamp())
    return (seconds * 1_000_000 + revision.submitted_at.microsecond, revision.id)


async def revision(session: AsyncSession, revision_id: int) -> Revision:
    """One that is there."""
    return _revision((await session.execute(_shown().where(ProductRevision.id == revision_id))).one())


_SUBMITTED = cast(func.extract("epoch", ProductRevision.submitted_at) * 1_000_000, BigInteger)
_LIVE = case(
    (Product.state.in_(_NEVER_LIVE), cast(literal("{}", Text), JSONB)),
    else_=func.jsonb_build_object(
        "title",
        Product.title,
        "category",
        Product.category,
        "tonalities",
        Product.tonalities,
        "audiences",
        Product.audiences,
        "images",
        func.array_remove(func.array_prepend(Product.image_url, Product.more_images), None),
        "description",
        Product.description,
        type_=JSONB,
    ),
)
"""What a product says now to those who may see it, as a revision says it; nothing while it was never live."""


def _shown() -> Select[*tuple[Any, ...]]:
    return (
        select(
            ProductRevision.id,
            ProductRevision.product_id,
            ProductRevision.state,
            ProductRevision.created_at,
            ProductRevision.submitted_at,
            ProductRevision.reviewed_at,
            ProductRevision.reason,
            ProductRevision.content,
            func.coalesce(ProductRevision.base, _LIVE, type_=JSONB).label("base"),
            Bundle("product", *Product.__table__.c, Bundle("brand", Brand.id, Brand.name)),
        )
        .join(Product, Product.id == ProductRevision.product_id)
        .join(Brand, Brand.id == Product.brand_id)
    )


def _revision(row: Any) -> Revision:
    return Revision(
        row.id,
        row.product_id,
        row.state,
        row.created_at,
        row.submitted_at,
        row.reviewed_at,
        row.reason,
        diff(row.content, row.base),
        row.product,
    )


def _put(product: Product, content: Mapping[str, Any]) -> None:
    for field, value in content.items():
        if field == "images":
            product.image_url, product.more_images = (value[0] if value else None), value[1:]
        else:
            setattr(product, field, value)


async def _draft(
    session: AsyncSession, product_id: int, content: Mapping[str, Any], *, now: datetime, account_id: int
) -> ProductRevision:
    revision = ProductRevision(
        product_id=product_id, content=dict(content), state="draft", created_at=now, created_by=account_id
    )
    session.add(revision)
    await session.flush()
    return revision


async def _open(session: AsyncSession, product_id: int) -> ProductRevision | None:
    """The open revision of a product that the caller has locked."""
    query = select(ProductRevision).where(ProductRevision.product_id == product_id, ProductRevision.state.in_(_OPEN))
    return await session.scalar(query.execution_options(populate_existing=True))


async def _live(session: AsyncSession, product_id: int) -> dict[str, Any]:
    live = await session.scalar(select(_LIVE).where(Product.id == product_id))
    assert isinstance(live, dict), "the product is there"
    return live


async def _close(
    session: AsyncSession,
    revision: ProductRevision,
    state: str,
    *,
    now: datetime,
    account_id: int | None = None,
    reason: str | None = None,
) -> None:
    """`account_id` is who reviewed it; nobody where it was taken back."""
    assert revision.submitted_at is not None, "what is in review was submitted"
    revision.base = await _live(session, revision.product_id)
    revision.state, revision.reason = state, reason
    if account_id is not None:
        # The clocks of two servers differ.
        revision.reviewed_at, revision.reviewed_by = max(now, revision.submitted_at), account_id
    await session.flush()


async def _end(
    session: AsyncSession,
    product: Product,
    revision: ProductRevision,
    state: str,
    *,
    now: datetime,
    account_id: int | None = None,
    reason: str | None = None,
) -> None:
    """Close a revision that does not become what the product says; its content goes on in a new draft."""
    await _close(session, revision, state, now=now, account_id=account_id, reason=reason)
    if revision.content:
        await _draft(session, product.id, revision.content, now=now, account_id=revision.created_by)
    if product.state == "in_review":
        product.state = "draft"
        await session.flush()


async def _in_review(session: AsyncSession, revision_id: int) -> tuple[Product, ProductRevision]:
    """A product and its revision in review, the product locked. Raises Refused(NotFound, WrongState)."""
    query = select(ProductRevision.product_id).where(ProductRevision.id == revision_id)
    if (product_id := await session.scalar(query)) is None:
        raise Refused(NotFound("There is no such revision: read what waits for review again."))
    product = await lock_product(session, product_id, brand_id=None)
    revision = await _open(session, product_id)
    if revision is None or revision.id != revision_id or revision.state != "in_review":
        raise Refused(WrongState("This revision is not in review any more: read what waits for review again."))
    return product, revision
