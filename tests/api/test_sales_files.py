"""What stores sold as files: asked for by a brand and by the operator, written by the worker, downloaded by a link."""

import csv
import hashlib
from typing import Any

import pytest
from sqlalchemy import select, text

from s2b2c import models, sales_exports
from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.doors import OTHERS, WHO
from tests.api.operations import check
from tests.api.shopping import refuses
from tests.test_jobs import run_until_left

DRAWN = ("createdAt", "startedAt", "finishedAt", "url")
OCTOBER: dict[str, Any] = {"from": "2026-10-01", "to": "2026-11-01"}
STARTS = {"brand": "ExportSales", "operator": "ExportAllSales"}


async def _ask(api: Api, door: str, token: str, **variables: Any) -> str:
    answer = await api.run(f"{door}/{STARTS[door]}", token, **OCTOBER, **variables)
    (started,) = answer["data"].values()
    return str(started["id"])


async def _rows(api: Api, url: str) -> list[list[str]]:
    out = await api.http.get(url)
    assert out.status_code == 200
    return list(csv.reader(out.content.decode("utf-8-sig").splitlines()))


@pytest.mark.parametrize("door", ["brand", "operator"])
async def test_asked_for_written_and_downloaded(own_sample: Api, store: Any, door: str) -> None:
    """The file has the rows of the door, and their sum."""
    api, token = own_sample, await own_sample.token(**WHO[door])
    started = await check(
        api,
        f"{door}/{STARTS[door]}",
        token,
        report="STORES",
        **OCTOBER,
        statements=5 if door == "brand" else 4,
        drawn=DRAWN,
        most=5,
    )
    (payload,) = started["data"].values()
    await run_until_left(api.db, [])
    done = await check(api, f"{door}/SalesExport", token, id=payload["id"], statements=2, drawn=DRAWN)
    await check(api, f"{door}/SalesExports", token, statements=2, drawn=DRAWN)
    found = done["data"][door]["salesExport"]
    headings, *rows, _, foot, totals = await _rows(api, found["download"]["url"])
    out = await api.http.get(found["download"]["url"])
    assert hashlib.sha256(out.content).hexdigest() == found["sha256"]
    assert out.headers["content-disposition"] == "attachment; filename*=UTF-8''stores-2026-10-01-2026-11-01.csv"
    assert headings[:2] == ["店铺", "店铺名称"]
    assert len(rows) == found["rows"]
    shown = await api.run(f"{door}/SalesByStore", token, **OCTOBER, first=100)
    edges = shown["data"][door]["sales"]["stores"]["edges"]
    fen = headings.index("产值（分）")
    assert [(row[0], int(row[fen])) for row in rows] == [
        (edge["node"]["store"]["slug"], edge["node"]["output"]["amount"]) for edge in edges
    ]
    assert foot[0] == "合计"
    assert int(totals[3]) == sum(int(row[fen]) for row in rows)
    assert len(list(store.iterdir())) == 1


async def test_a_brand_sees_its_own_alone(own_sample: Api, store: Any) -> None:
    """Neither another brand nor the operator sees a report of a brand; the file holds its products alone."""
    assert store.name == "store"
    api, mine = own_sample, await own_sample.token(**WHO["brand"])
    id_ = await _ask(api, "brand", mine, report="PRODUCTS")
    await run_until_left(api.db, [])
    for door in ("brand", "operator"):
        other = await api.token(**(OTHERS["brand"] if door == "brand" else WHO["operator"]))
        assert (await api.run(f"{door}/SalesExport", other, id=id_))["data"][door]["salesExport"] is None
        assert (await api.run(f"{door}/SalesExports", other))["data"][door]["salesExports"]["edges"] == []
    found = (await api.run("brand/SalesExport", mine, id=id_))["data"]["brand"]["salesExport"]
    _, *rows, _, _, _ = await _rows(api, found["download"]["url"])
    assert {row[0] for row in rows} == {WHO["brand"]["brand"]}
    path = found["download"]["url"].partition("?")[0]
    theirs = {"Authorization": f"Bearer {await api.token(**OTHERS['brand'])}"}
    assert (await api.http.get(path, headers=theirs)).status_code == 404
    assert (await api.http.get(path)).status_code == 401


async def test_a_file_of_the_platform_is_had_by_its_link_alone(own_sample: Api, store: Any) -> None:
    """Also where it is of one brand: that brand cannot read it by its id."""
    assert store.name == "store"
    api, token = own_sample, await own_sample.token(**WHO["operator"])
    async with api.db.read() as session:
        brand_id = await session.scalar(select(models.Brand.id).where(models.Brand.name == WHO["brand"]["brand"]))
    id_ = await _ask(api, "operator", token, report="DAYS", brand=encode("brand", brand_id or 0), language="EN")
    await run_until_left(api.db, [])
    found = (await api.run("operator/SalesExport", token, id=id_))["data"]["operator"]["salesExport"]
    assert (found["state"], found["rows"]) == ("DONE", 31)
    path = found["download"]["url"].partition("?")[0]
    for role in ("brand", "operator"):
        headers = {"Authorization": f"Bearer {await api.token(**WHO[role])}"}
        assert (await api.http.get(path, headers=headers)).status_code == 404


async def test_what_cannot_be_written_is_refused_at_once(own_sample: Api) -> None:
    api, token, operator = own_sample, await own_sample.token(**WHO["brand"]), await own_sample.token("operator")
    asked: dict[str, Any] = {"report": "STORES", **OCTOBER}
    theirs = select(models.Product.id).join(models.Brand).where(models.Brand.name == OTHERS["brand"]["brand"])
    async with api.db.read() as session:
        product = encode("product", (await session.scalars(theirs.limit(1))).one())
    for what, id_ in {"product": product, "store": encode("store", 999), "tier": encode("tier", 999)}.items():
        refused = await refuses(api, "NotFound", "brand/ExportSales", token, **asked, **{what: id_})
        assert refused["message"] == f"There is no such {what}: choose one of the list."
    await refuses(api, "NotFound", "operator/ExportAllSales", operator, **asked, brand=encode("brand", 999))
    backwards = {"report": "STORES", "from": "2026-11-01", "to": "2026-10-01"}
    await refuses(api, "BadArgument", "brand/ExportSales", token, **backwards)
    xlsx = await refuses(api, "BadArgument", "brand/ExportSales", token, **asked, format="XLSX", encoding="GB18030")
    assert xlsx["message"] == "An XLSX file is always UTF-8; choose csv for GB18030."
    for _ in range(5):
        await _ask(api, "brand", token, report="STORES")
    many = await refuses(api, "WrongState", "brand/ExportSales", token, **asked)
    assert many["message"] == "5 reports of yours wait or run: wait for the end of one."
    await _ask(api, "operator", operator, report="STORES")


async def test_totals_that_do_not_tie_are_no_file(own_sample: Api, store: Any) -> None:
    api, token = own_sample, await own_sample.token(**WHO["brand"])
    id_ = await _ask(api, "brand", token, report="STORES")
    async with api.db.write() as session:
        await session.execute(
            text(
                "UPDATE daily_brands SET store_id = 0 WHERE ctid = (SELECT d.ctid FROM daily_brands d JOIN brands b ON b.id = d.brand_id WHERE b.name = '绒溪小厨' AND d.day >= '2026-10-01' AND d.day < '2026-11-01' AND d.paid > 0 LIMIT 1)"
            )
        )
    await run_until_left(api.db, [])
    found = (await api.run("brand/SalesExport", token, id=id_))["data"]["brand"]["salesExport"]
    assert (found["state"], found["problem"]) == (
        "REFUSED",
        "The stores do not come to the daily totals: see `s2b2c audit`.",
    )
    assert found["download"] is None
    assert not store.exists() or list(store.iterdir()) == []


async def test_written_again_it_is_the_same(own_sample: Api, store: Any) -> None:
    """A worker that is gone leaves a job behind: the next one writes the file, and no second time."""
    assert store.name == "store"
    api, token = own_sample, await own_sample.token(**WHO["brand"])
    await _ask(api, "brand", token, report="NEVER_SOLD", format="XLSX")
    async with api.db.write() as session:
        key = (await session.scalars(select(models.SalesExport.id))).one()
        (await session.get_one(models.SalesExport, key)).state = "running"
    for _ in range(2):
        await sales_exports.write_sales_export(api.db, export_id=key)
    async with api.db.read() as session:
        it = await session.get_one(models.SalesExport, key)
        assert (it.state, it.done, it.total, it.rows > 0) == ("done", 0, 0, True)
        assert (await session.scalars(select(models.File.sha256))).all() == [it.sha256]
