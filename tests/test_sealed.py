"""Personal data at rest: sealed columns, their masks, what the database refuses, and from one key to the next."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import case, false, select, text, type_coerce
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.types import Text

from s2b2c import crypto, models, resealing
from s2b2c.accounts import people
from s2b2c.crypto import Keys
from s2b2c.db import Base, Database
from s2b2c.models import Address, OrderAddress
from s2b2c.sealed import Sealed, masked
from tests import factories
from tests.commands import cli
from tests.factories import HOME

OLD, NEW, LOOKUP = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)
PERSONAL = ("recipient", "phone", "region", "street")
BEFORE, BETWEEN, AFTER = ({"k1": OLD}, {"k2": NEW, "k1": OLD}, {"k2": NEW})


async def _stored(session: AsyncSession) -> dict[str, str]:
    columns = [type_coerce(getattr(Address, name), Text).label(name) for name in PERSONAL]
    return dict((await session.execute(select(*columns))).mappings().one())


async def test_what_is_stored_tells_nothing_and_opens(session: AsyncSession) -> None:
    customer = await factories.a_customer(session)
    await factories.an_address(session, customer)
    stored = await _stored(session)
    for name, sealed in stored.items():
        assert crypto.keys().open(sealed, name) == HOME[name], "each opens as what it is"
        with pytest.raises(crypto.SealError):
            crypto.keys().open(sealed, "something else")
    session.expire_all()
    address = (await session.scalars(select(Address))).one()
    assert {name: getattr(address, name) for name in PERSONAL} == HOME
    shown = select(Address.phone, masked(Address.phone).label("masked"), masked(Address.recipient).label("name"))
    assert (await session.execute(shown)).one() == ("13800001234", "138****1234", "王**")


@pytest.mark.parametrize(
    ("kind", "plain", "shown"),
    [
        ("phone", "13800001234", "138****1234"),
        ("phone", "+447700900123", "447*****0123"),
        ("phone", "12345678", "123*5678"),
        ("phone", "1234567", "*******"),
        ("phone", "", "*******"),
        ("recipient", "王小明", "王**"),
        ("recipient", "王", "王**"),
        ("legal_name", "澄露生物科技有限公司", "澄**"),
        ("identity_number", "11010519491231002X", "110***********002X"),
        ("bank_account", "6222021234567890128", "***************0128"),
        ("bank_account", "1234", "****"),
    ],
)
async def test_masks(session: AsyncSession, kind: str, plain: str, shown: str) -> None:
    sealed = crypto.keys().seal(plain, kind)
    query = select(type_coerce(sealed, Text)).subquery()
    (column,) = query.c
    assert await session.scalar(select(masked(type_coerce(column, Sealed(kind))))) == shown


async def test_nothing_is_nothing(session: AsyncSession) -> None:
    nobody = case((false(), Address.phone)), masked(case((false(), Address.recipient)))
    await factories.an_address(session, await factories.a_customer(session))
    assert (await session.execute(select(*nobody))).one() == (None, None)


@pytest.mark.parametrize("table", [Address, OrderAddress])
async def test_a_kind_is_the_same_wherever_it_is_copied_to(table: type[Base]) -> None:
    kinds = {name: table.__table__.c[name].type for name in PERSONAL}
    assert {name: kind.kind for name, kind in kinds.items() if isinstance(kind, Sealed)} == {
        name: name for name in PERSONAL
    }


PLAIN = {
    "plain": "13800001234",
    "empty": "",
    "base64 without a key": base64.urlsafe_b64encode(bytes(28)).decode(),
    "too short": f"first.{base64.urlsafe_b64encode(bytes(27)).decode()}",
    "not padded": f"first.{base64.urlsafe_b64encode(bytes(28)).decode().rstrip('=')}",
    "another alphabet": "first." + "+/" * 20,
    "a line before": "x\nfirst." + "A" * 40,
    "a line behind": "first." + "A" * 40 + "\nx",
}
COLUMNS = [
    (table, column)
    for table in resealing._tables()
    for column in table.columns
    if isinstance(column.type, Sealed) or column.name == "sealed"
]


def test_these_are_the_columns_of_personal_data() -> None:
    assert {f"{table.name}.{column.name}" for table, column in COLUMNS} == {
        *(f"{table}.{name}" for table in ("addresses", "order_addresses") for name in PERSONAL),
        *(f"payees.{name}" for name in ("legal_name", "identity_number", "bank_account")),
        *(f"seat_applications.{name}" for name in ("legal_name", "region", "introduction")),
        "identities.sealed",
    }


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=str)
async def test_the_database_takes_nothing_that_is_not_sealed(db: Database, table: Any, column: Any) -> None:
    """Whoever writes it, and with whatever: the first thing that is wrong with the row is that it is plain."""
    others = {it.name: "DEFAULT" if it.server_default is not None else _filling(it) for it in table.columns}
    names = ", ".join(others)
    for what, plain in PLAIN.items():
        values = ", ".join({**others, column.name: ":plain"}.values())
        with pytest.raises(IntegrityError) as refused:
            async with db.write() as session:
                await session.execute(text(f"INSERT INTO {table.name} ({names}) VALUES ({values})"), {"plain": plain})
        assert refused.value.orig.__cause__.constraint_name == f"ck_{table.name}_{column.name}", what  # type: ignore[union-attr]  # of asyncpg


_NULLS = {("seat_applications", name) for name in ("decided_at", "distributor_id", "code_id")}


def _filling(column: Any) -> str:
    sealed = "'first." + "A" * 40 + "'"
    if column.name == "brand_id" or (column.table.name, column.name) in _NULLS:
        return "NULL"
    if column.name == "state":
        return "'submitted'"
    if column.name == "kind":
        return "'phone'"
    return {"BIGINT": "1", "BLOB": "''", "TEXT": sealed}.get(str(column.type.compile()), "now()")


async def _a_world(db: Database) -> None:
    async with db.write() as session:
        for number in range(5):
            customer = await factories.a_customer(session)
            await factories.an_address(session, customer)
            await people.find_or_make(session, {"phone": f"1380000000{number}", "openid": f"wx:o{number}"}, NOW)
        owner = await factories.a_distributor(session)
        account = models.Account(role="distributor", distributor_id=owner.id)
        session.add(account)
        await session.flush()
        session.add(
            models.Payee(
                distributor_id=owner.id, legal_name="王芳", identity_number="11010519491231002X", bank_name="招商银行",
                bank_account="6222021234567890128", updated_at=NOW, updated_by=account.id,
            )
        )  # fmt: skip


async def _opened(db: Database) -> list[tuple[Any, ...]]:
    """All that is sealed, in plain, as the keys of the moment open it."""
    async with db.read() as session:
        found = [
            tuple(row)
            for table in resealing._tables()
            if table.name != "identities"
            for row in await session.execute(
                select(*(it for it in table.columns if isinstance(it.type, Sealed))).order_by(*table.primary_key)
            )
        ]
        identities = (await session.scalars(select(models.Identity).order_by(models.Identity.fingerprint))).all()
    return [*found, *((it.kind, crypto.keys().open(it.sealed, it.kind)) for it in identities)]


async def _under(db: Database) -> set[str]:
    """The keys that are needed."""
    async with db.read() as session:
        return {
            sealed.partition(".")[0]
            for table, column in COLUMNS
            for sealed in await session.scalars(select(type_coerce(column, Text)))
        }


def _use(monkeypatch: pytest.MonkeyPatch, keys: dict[str, bytes]) -> None:
    found = Keys(keys, LOOKUP)
    monkeypatch.setattr(crypto, "keys", lambda: found)


async def test_an_old_key_can_go(db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "BATCH", 2)
    _use(monkeypatch, BEFORE)
    await _a_world(db)
    plain = await _opened(db)
    assert len(plain) == 5 + 1 + 10
    assert await _under(db) == {"k1"}
    _use(monkeypatch, BETWEEN)
    async with db.write() as session:
        await factories.an_address(session, await factories.a_customer(session))
    seen: list[tuple[int, int]] = []
    done = await resealing.reseal(database_url, lambda number, total: seen.append((number, total)))
    assert done == (16, 0)
    assert seen[-1] == (16, 16)
    assert [number for number, _ in seen] == sorted(number for number, _ in seen)
    assert len(seen) == 3 + 1 + 5
    assert await _under(db) == {"k2"}
    _use(monkeypatch, AFTER)
    now = await _opened(db)
    assert len(now) == 17
    assert set(now) == set(plain)
    assert await resealing.reseal(database_url) == (0, 0)


async def test_cut_off_it_goes_on(db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resealing, "BATCH", 2)
    _use(monkeypatch, BEFORE)
    await _a_world(db)
    _use(monkeypatch, BETWEEN)

    def stop(done: int, total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await resealing.reseal(database_url, stop)
    assert await _under(db) == {"k1", "k2"}
    assert len(await _opened(db)) == 16, "all can be read meanwhile"
    assert await resealing.reseal(database_url) == (12, 0)
    assert await _under(db) == {"k2"}


async def test_what_somebody_changes_meanwhile_is_left_as_it_is(
    db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old server writes, between the reading and the writing of a batch."""
    _use(monkeypatch, BEFORE)
    await _a_world(db)
    _use(monkeypatch, BETWEEN)
    keys, waiting = crypto.keys(), [True]
    written = Keys(BEFORE, LOOKUP).seal("19900001111", "phone")
    change = resealing._change

    def slow(table: Any, *rest: Any) -> Any:
        statement = change(table, *rest)
        if table.name == "addresses" and waiting.pop():
            waiting.append(False)
            pending.append(statement)
        return statement

    pending: list[Any] = []
    monkeypatch.setattr(resealing, "_change", slow)
    execute = AsyncConnection.execute

    async def interleaved(self: Any, statement: Any, *rest: Any, **options: Any) -> Any:
        if pending and statement is pending[0]:
            pending.clear()
            async with db.write() as session:
                await session.execute(
                    text("UPDATE addresses SET phone = :phone WHERE id = (SELECT min(id) FROM addresses)"),
                    {"phone": written},
                )
        return await execute(self, statement, *rest, **options)

    monkeypatch.setattr(AsyncConnection, "execute", interleaved)
    done = await resealing.reseal(database_url)
    assert done == (15, 1), "and is counted"
    async with db.read() as session:
        stored = await session.scalar(select(type_coerce(Address.phone, Text)).order_by(Address.id).limit(1))
    assert stored == written
    assert keys.open(written, "phone") == "19900001111"
    assert await resealing.reseal(database_url) == (1, 0)


async def test_a_value_that_no_key_opens_is_named(
    db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _use(monkeypatch, BEFORE)
    await _a_world(db)
    _use(monkeypatch, AFTER)
    with pytest.raises(crypto.SealError, match=r"^addresses\.recipient: this cannot be opened"):
        await resealing.reseal(database_url)
    assert await _under(db) == {"k1"}


async def test_the_command(db: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _use(monkeypatch, BEFORE)
    await _a_world(db)
    named = {name: f"{name}:{base64.urlsafe_b64encode(key).decode()}" for name, key in BETWEEN.items()}

    def run(keys: str, code: int = 0) -> str:
        lookup = base64.urlsafe_b64encode(LOOKUP).decode()
        return cli(database_url, "reseal", code=code, S2B2C_DATA_KEYS=keys, S2B2C_LOOKUP_KEY=lookup)

    told = "addresses.recipient: this cannot be opened with the keys in S2B2C_DATA_KEYS"
    assert told in run(named["k2"], code=1)
    assert "16 rows are under the first key now." in run(f"{named['k2']},{named['k1']}")
    assert "0 rows are under" in run(named["k2"])
    assert await _under(db) == {"k2"}
