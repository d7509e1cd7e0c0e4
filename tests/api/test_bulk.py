"""Bulk edit through the door of brands, from the upload to the report and back."""

from pathlib import Path
from typing import Any

import httpx

from s2b2c import worker
from s2b2c.api.types.ids import decode, encode
from tests.api.client import Api
from tests.api.doors import OTHERS, WHO
from tests.api.operations import check
from tests.test_bulk import HEADER, NEW, as_csv
from tests.test_jobs import left, run_until_left

DRAWN = ("createdAt", "startedAt", "finishedAt")


async def upload(api: Api, token: str, body: bytes) -> str:
    answer = await api.http.post(
        "/files",
        params={"kind": "catalogue", "name": "秋季.csv"},
        content=body,
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 201
    return str(answer.json()["id"])


async def download(api: Api, token: str, path: str) -> httpx.Response:
    return await api.http.get(path, headers={"Authorization": f"Bearer {token}"})


async def the_run(api: Api, kind: str, token: str, id_: str) -> Any:
    return (await api.run(f"brand/{kind}", token, id=id_))["data"]["brand"][kind.lower()]


async def test_out_changed_and_in_again(own_sample: Api, store: Path) -> None:
    """As a brand does it: the whole catalogue out, one price changed, checked, imported."""
    api, token = own_sample, await own_sample.token(**WHO["brand"])
    assert store.name == "store"
    started = await check(api, "brand/ExportCatalogue", token, statements=3, drawn=DRAWN)
    id_ = started["data"]["exportCatalogue"]["id"]
    await check(api, "brand/Export", token, case="waiting", id=id_, statements=2, drawn=DRAWN)
    await run_until_left(api.db, [])
    await check(api, "brand/Export", token, id=id_, statements=2, drawn=DRAWN)
    await check(api, "brand/Exports", token, statements=2, drawn=DRAWN)
    out = await download(api, token, (await the_run(api, "Export", token, id_))["file"])
    assert out.status_code == 200
    body = out.content.decode("utf-8-sig")
    assert "RX01-1,口味=鸡肉,61.80,128.90,109.50,148.20,," in body
    changed = body.replace("61.80,128.90,109.50,148.20", "61.80,129.90,109.50,148.20", 1).encode("gb18030")
    file = await upload(api, token, changed)
    started = await check(api, "brand/ImportCatalogue", token, file=file, dryRun=True, statements=4, drawn=DRAWN)
    await run_until_left(api.db, [])
    await check(
        api,
        "brand/Import",
        token,
        case="checked",
        id=started["data"]["importCatalogue"]["id"],
        statements=2,
        drawn=DRAWN,
    )
    started = await api.run("brand/ImportCatalogue", token, file=file, dryRun=False)
    await run_until_left(api.db, [])
    await check(api, "brand/Import", token, id=started["data"]["importCatalogue"]["id"], statements=2, drawn=DRAWN)
    await check(api, "brand/Imports", token, first=1, statements=2, drawn=DRAWN)


async def test_a_refused_file_has_a_report_to_download(own_sample: Api, store: Path) -> None:
    api, token = own_sample, await own_sample.token(**WHO["brand"])
    assert store.name == "store"
    header = [*HEADER[:13], "tier_cost:province", "tier_cost:city", "tier_cost:leader"]
    row = [*NEW[:13], "11", "12", "x"]
    file = await upload(api, token, as_csv([header, row, ["别人", *row[1:]]]))
    started = await api.run("brand/ImportCatalogue", token, file=file, dryRun=False, language="EN")
    id_ = started["data"]["importCatalogue"]["id"]
    await run_until_left(api.db, [])
    refused = await check(api, "brand/Import", token, case="refused", id=id_, statements=2, drawn=DRAWN)
    path = refused["data"]["brand"]["import"]["errorReport"]
    report = await download(api, token, path)
    cost = "is not an amount in yuan with at most two decimals, like 49.90: 'x'"
    assert report.content.decode("utf-8-sig").splitlines() == [
        "Line,Column,Level,Problem",
        f'2,tier_cost:leader,error,"{cost}"',
        "3,brand,error,is not yours: you may import your own catalogue alone",
        f'3,tier_cost:leader,error,"{cost}"',
    ]
    assert report.headers["content-disposition"].endswith("-report.csv")
    stranger = await api.token(**OTHERS["brand"])
    assert (await download(api, stranger, path)).status_code == 404
    for kind in ("Import", "Node"):
        answer = await api.run(f"brand/{kind}", stranger, id=id_)
        assert list(answer["data"]["brand"].values()) == [None]


async def test_every_refusal(own_sample: Api, store: Path) -> None:
    api, token = own_sample, await own_sample.token(**WHO["brand"])
    assert store.name == "store"
    file = await upload(api, token, b"x")

    async def refused(operation: str, token: str, **variables: Any) -> str:
        before = await left(api.db)
        (answer,) = (await api.run(operation, token, **variables))["data"].values()
        assert await left(api.db) == before
        return str(answer["code"])

    stranger = await api.token(**OTHERS["brand"])
    again: dict[str, Any] = {"file": file, "dryRun": True}
    assert await refused("brand/ImportCatalogue", stranger, **again) == "NOT_FOUND"
    assert await refused("brand/ImportCatalogue", token, file=encode("file", 999), dryRun=True) == "NOT_FOUND"
    assert await refused("brand/ImportCatalogue", token, file="x", dryRun=True) == "BAD_ARGUMENT"
    assert (await api.run("brand/ImportCatalogue", token, **again))["data"]["importCatalogue"]["state"] == "WAITING"
    assert await refused("brand/ImportCatalogue", token, **again) == "WRONG_STATE"
    assert "errors" not in await api.run("brand/ExportCatalogue", token)
    assert await refused("brand/ExportCatalogue", token) == "WRONG_STATE"


async def test_a_run_is_of_its_own_list_alone(own_sample: Api, store: Path) -> None:
    """The id of an export is none of an import, though both stand in one table."""
    api, token = own_sample, await own_sample.token(**WHO["brand"])
    assert store.name == "store"
    started = (await api.run("brand/ExportCatalogue", token))["data"]["exportCatalogue"]["id"]
    (key,) = decode("export", started, length=1)
    assert await the_run(api, "Import", token, encode("import", key)) is None
    assert (await the_run(api, "Export", token, started))["state"] == "WAITING"
    assert await api.code('{ brand { import(id: "x") { id } } }', token) == "BAD_ARGUMENT"


def test_what_takes_minutes_runs_one_at_a_time() -> None:
    assert {job.__name__ for job in worker._ONE_AT_A_TIME} == {
        "import_catalogue",
        "export_catalogue",
        "write_finance_export",
        "write_sales_export",
        "read_rail_report",
    }
    assert set(worker._JOBS) >= worker._ONE_AT_A_TIME
