"""All that we hold of a person is exported, and that it was goes on record."""

import json
import os
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from s2b2c import accounts, models, privacy
from s2b2c.accounts import people
from s2b2c.accounts.viewer import account_of
from s2b2c.db import Database
from s2b2c.privacy import Reader
from tests import factories
from tests.commands import cli
from tests.databases import as_owner
from tests.lives import HOME, Known, a_customer, a_full_life, breaches, erase, place, steps
from tests.signing import OTHER_PHONE, PHONE, Door, door_to


@pytest.fixture
async def door(db: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    async with door_to(db, monkeypatch) as door:
        yield door


async def all_of(door: Door, who: Known, *, limit: int) -> list[privacy.Record]:
    found: list[privacy.Record] = []
    async with door.db.read() as session:
        holder = await privacy.holder_of(session, who.person_id)
        while more := await privacy.holdings(session, holder, after=found[-1].place if found else None, limit=limit):
            assert len(more) <= limit
            found += more
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_all_that_is_held_is_told_on_pages_of_any_size(door: Door, limit: int) -> None:
    shelf, who = await a_full_life(door)
    other = await a_customer(door, OTHER_PHONE)
    await steps(door, await place(door, shelf, other, "x"), "completed")
    found = await all_of(door, who, limit=limit)
    assert [it.kind for it in found] == [
        "person", "identity", "identity", "identity", "membership", "session", "invitation", "invitation", "address",
        "order", "order", "order", "binding",
    ]  # fmt: skip
    assert len({it.place for it in found}) == len(found)
    by_kind = {it.kind: it.facts for it in found}
    named = {(it.facts["kind"], it.facts["value"]) for it in found if it.kind == "identity"}
    assert named == {("phone", PHONE), ("openid", "app:o-1"), ("unionid", "u-1")}
    assert {name: by_kind["address"][name] for name in HOME._fields[:4]} == dict(
        zip(HOME._fields, HOME[:4], strict=False)
    )
    states = [it.facts["state"] for it in found if it.kind == "order"]
    assert states == ["completed", "cancelled", "paid"]
    order = next(it.facts for it in found if it.kind == "order")
    assert order["address"] == {
        "recipient": "王小明",
        "phone": "13600006789",
        "region": HOME.region,
        "street": HOME.street,
    }
    assert [(line["line_no"], line["sku"], line["quantity"], line["paid"]) for line in order["lines"]] == [
        (1, shelf.variant.sku, 2, 9980)
    ]
    assert [(it["amount"], it["reason"]) for it in order["refunds"]] == [(1, "太晚了")]
    assert by_kind["binding"]["distributor"] == shelf.owner.code
    assert OTHER_PHONE not in str(found)
    json.loads(privacy.as_json(order))


async def test_the_command_line_exports_and_erases(db: Database, door: Door, tmp_path: Path) -> None:
    _, who = await a_full_life(door)
    broken = await breaches(db)
    async with db.write() as session:
        reader = Reader(await account_of(session, "operator"))
        told = [privacy.Read({"phone"}, customer_id=who.customer_id)]
        await privacy.record(session, reader, "support", told, at=door.now, reason="a look of long ago")
    out = tmp_path / "person.json"
    said = cli(db.url, "person", "export", "--phone", PHONE, "--out", str(out))
    assert said == f"{out}: 14 records\n"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    held = json.loads(out.read_text("utf-8"))
    assert [it["record"] for it in held["records"]].count("order") == 3
    (look,) = [it for it in held["records"] if it["record"] == "read"]
    assert {name: look[name] for name in ("role", "purpose", "kinds")} == {
        "role": "operator",
        "purpose": "support",
        "kinds": ["phone"],
    }
    async with db.read() as session:
        (_, row) = await session.scalars(select(models.PersonalRead).order_by(models.PersonalRead.id))
    assert (row.purpose, row.account_id, row.customer_id, row.person_id) == (
        "export",
        None,
        who.customer_id,
        who.person_id,
    )
    assert row.kinds == ["openid", "phone", "recipient", "region", "street", "unionid"]
    assert "Aborted" in cli(db.url, "person", "erase", "--phone", PHONE, code=1, typed="n\n")
    assert cli(db.url, "person", "erase", "--phone", PHONE, "--yes") == "The person is erased.\n"
    assert "Nobody is known by this phone" in cli(db.url, "person", "erase", "--phone", PHONE, "--yes", code=1)
    assert await breaches(db) == broken


async def test_no_file_without_a_trail(db: Database, door: Door, tmp_path: Path) -> None:
    who = await a_customer(door)
    await as_owner(db.url, "REVOKE INSERT ON personal_reads FROM s2b2c_app")
    out = tmp_path / "person.json"
    with pytest.raises(Exception, match="permission denied"):
        await privacy.write_holdings(db, who.person_id, out, reader=Reader(), at=datetime.now(UTC))
    assert os.listdir(tmp_path) == []  # noqa: PTH208  a path asks in the middle of the loop


async def test_to_whom_money_goes_is_exported_and_goes_with_the_one_who_acts_for_it(door: Door) -> None:
    """While another one acts for it too, it stays."""
    async with door.db.write() as session:
        alone, shared = await factories.a_distributor(session), await factories.a_distributor(session)
        held = [await account_of(session, "distributor", None, it.id) for it in (alone, shared)]
        person_id = await people.find_or_make(session, {"phone": PHONE}, door.now)
        other_id = await people.find_or_make(session, {"phone": OTHER_PHONE}, door.now)
        for one_id, account_id in ((person_id, held[0]), (person_id, held[1]), (other_id, held[1])):
            await people.join(session, one_id, account_id)
        for number, it in enumerate((alone, shared)):
            session.add(
                models.Payee(
                    distributor_id=it.id,
                    legal_name=f"王小明{number}",
                    identity_number="11010519491231002X",
                    bank_name="招商银行",
                    bank_account="6222020200112233445",
                    updated_at=door.now,
                    updated_by=held[0],
                )
            )
    who = Known(accounts.Viewer(held[0], "distributor"), 0, person_id, "", "", 0)
    (payee,) = [it for it in await all_of(door, who, limit=100) if it.kind == "payee"]
    assert (payee.facts["legal_name"], payee.facts["identity_number"]) == ("王小明0", "11010519491231002X")
    assert payee.shows == {"legal_name", "identity_number", "bank_account"}
    await erase(door, who)
    async with door.db.read() as session:
        assert (await session.scalars(select(models.Payee.legal_name))).all() == ["王小明1"]
