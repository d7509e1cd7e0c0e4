"""Documents through the door of finance: asked for, written by the worker, downloaded by a link that expires."""

import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import select

from s2b2c import files, finance_exports, models, settlements
from s2b2c.api.types.ids import encode
from tests.api.client import SECRET, Api
from tests.api.conftest import NOW
from tests.api.doors import WHO
from tests.api.operations import check
from tests.test_jobs import run_until_left

DRAWN = ("createdAt", "startedAt", "finishedAt", "url")


async def the_run(api: Api, token: str) -> str:
    answer = await api.run("finance/Runs", token)
    return str(answer["data"]["finance"]["runs"]["edges"][0]["node"]["id"])


async def exported(api: Api, token: str, **variables: Any) -> Any:
    """The export when the worker is done with it."""
    started = await api.run("finance/ExportRun", token, **variables)
    await run_until_left(api.db, [])
    answer = await api.run("finance/FinanceExport", token, id=started["data"]["exportRun"]["id"])
    return answer["data"]["finance"]["export"]


async def test_asked_for_written_and_downloaded_by_a_link(own_sample: Api, store: Any) -> None:
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    run = await the_run(api, token)
    started = await check(
        api, "finance/ExportRun", token, run=run, document="STATEMENT_SUMMARY", language="EN", statements=4, drawn=DRAWN
    )
    id_ = started["data"]["exportRun"]["id"]
    await check(api, "finance/FinanceExport", token, case="waiting", id=id_, statements=2, drawn=DRAWN)
    await run_until_left(api.db, [])
    done = await check(api, "finance/FinanceExport", token, id=id_, statements=2, drawn=DRAWN)
    await check(api, "finance/FinanceExports", token, statements=2, drawn=DRAWN)
    found = done["data"]["finance"]["export"]
    out = await api.http.get(found["download"]["url"])
    assert out.status_code == 200
    assert out.headers["content-disposition"] == "attachment; filename*=UTF-8''statement-summary-run-1.csv"
    assert out.headers["content-type"].startswith("text/csv")
    assert hashlib.sha256(out.content).hexdigest() == found["sha256"]
    rows = out.content.decode("utf-8-sig").splitlines()
    assert rows[0].startswith("Payee kind,Payee code,Payee name,Statement,Run,Cutoff,Pay on,Lines,Gross (yuan)")
    assert len(rows) == 1 + found["rows"] + 5
    assert len(list(store.iterdir())) == 1


async def test_of_a_period(own_sample: Api, store: Any) -> None:
    assert store.name == "store"
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    period: dict[str, Any] = {"from": "2026-09-01", "to": "2026-10-01"}
    started = await check(
        api,
        "finance/ExportPeriod",
        token,
        document="LEDGER_JOURNAL",
        format="XLSX",
        **period,
        statements=3,
        drawn=DRAWN,
    )
    await run_until_left(api.db, [])
    answer = await api.run("finance/FinanceExport", token, id=started["data"]["exportPeriod"]["id"])
    found = answer["data"]["finance"]["export"]
    out = await api.http.get(found["download"]["url"])
    assert out.content.startswith(b"PK")
    assert out.headers["content-type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert found["name"] == "ledger-journal-2026-09-01-2026-10-01.xlsx"


async def test_a_link_that_is_not_right_leads_nowhere(own_sample: Api, store: Any) -> None:
    """Nor does a token: not even that of an operator, who may download the files of any brand."""
    assert store.name == "store"
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    found = await exported(api, token, run=await the_run(api, token), document="STATEMENT_SUMMARY")
    url = found["download"]["url"]
    path, query = urlsplit(url).path, parse_qs(urlsplit(url).query)
    (expires,), (signature,) = query["expires"], query["signature"]
    assert int(expires) == int((NOW + timedelta(minutes=10)).timestamp())
    other = files.link(999, SECRET, now=NOW).signature
    forged = files.link(1, "x" * 32, now=NOW).signature
    for wrong in (
        {"expires": expires, "signature": ""},
        {"expires": expires, "signature": signature[:-1]},
        {"expires": expires, "signature": signature.upper()},
        {"expires": str(int(expires) + 1), "signature": signature},
        {"expires": "٣", "signature": signature},
        {"expires": "", "signature": signature},
        {"expires": "9" * 400, "signature": signature},
        {"expires": expires, "signature": other},
        {"expires": expires, "signature": forged},
        {"expires": expires, "signature": "é"},
        {"signature": signature},
    ):
        answer = await api.http.get(path, params=wrong)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "FORBIDDEN"), wrong
    for role in ("operator", "brand"):
        answer = await api.http.get(path, headers={"Authorization": f"Bearer {await api.token(**WHO[role])}"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (await api.http.get(path, headers={"Authorization": f"Bearer {token}"})).status_code == 403
    assert (await api.http.get(path)).status_code == 401
    assert (await api.http.get(url)).status_code == 200


async def test_a_link_expires_and_is_of_finance_alone(own_sample: Api, store: Any) -> None:
    assert store.name == "store"
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    await exported(api, token, run=await the_run(api, token), document="STATEMENT_SUMMARY")
    async with api.db.write() as session:
        (ours,) = (await session.scalars(select(models.File))).all()
        brand = await session.scalar(select(models.Brand.id).limit(1))
        its = models.File(
            kind="catalogue",
            name="a.csv",
            object_name="a",
            brand_id=brand,
            account_id=ours.account_id,
            size=1,
            sha256="0",
        )
        session.add(its)

    async def asked(file_id: int, ago: timedelta) -> int:
        link = files.link(file_id, SECRET, now=NOW - ago)
        query = {"expires": str(int(link.expires_at.timestamp())), "signature": link.signature}
        return (await api.http.get(f"/files/{encode('file', file_id)}", params=query)).status_code

    second = timedelta(seconds=1)
    assert await asked(ours.id, files.LINK_LIFETIME - second) == 200
    assert await asked(ours.id, files.LINK_LIFETIME) == 403
    assert await asked(its.id, second) == 404


async def test_what_cannot_be_asked_for(own_sample: Api, store: Any) -> None:
    assert store.name == "store"
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    run = await the_run(api, token)

    async def refused(operation: str, **variables: Any) -> tuple[str, str]:
        answer = await api.run(f"finance/{operation}", token, **variables)
        (it,) = answer["data"].values()
        return it["code"], it["message"]

    assert await refused("ExportRun", run=run, document="LEDGER_JOURNAL") == (
        *("BAD_ARGUMENT", "The ledger journal is of a period, not of a run."),
    )
    assert await refused("ExportRun", run=run, document="BANK_BATCH") == (
        *("BAD_ARGUMENT", "The bank batch says to whom is paid: ask for it with payees."),
    )
    assert await refused("ExportRun", run=run, document="BRAND_PAYABLE", format="XLSX", encoding="GB18030") == (
        *("BAD_ARGUMENT", "An XLSX file is always UTF-8; choose csv for GB18030."),
    )
    missing = encode("settlement-run", 99)
    assert (await refused("ExportRun", run=missing, document="BRAND_PAYABLE"))[0] == "NOT_FOUND"
    days = {"from": "2026-09-01", "to": "2026-10-01"}
    assert await refused("ExportPeriod", document="WITHHOLDING_REPORT", payees=True, **days) == (
        "BAD_ARGUMENT",
        "The withholding report is of a quarter: from the 1st of January, April, July or October on.",
    )
    assert await refused("ExportPeriod", document="BANK_BATCH", payees=True, **days) == (
        *("BAD_ARGUMENT", "The bank batch is of one run, not of a period."),
    )
    async with api.db.read() as session:
        assert (await session.scalars(select(models.FinanceExport))).all() == []


async def test_what_cannot_be_written_says_why_and_is_over(own_sample: Api, store: Any) -> None:
    """A draft has no payouts; whose details would be read is on record only where they are."""
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    async with api.db.write() as session:
        made = await settlements.settle(session, cutoff=NOW, now=NOW)
    assert made is not None
    run = encode("settlement-run", made.run_id)
    found = await exported(api, token, run=run, document="BANK_BATCH", payees=True)
    assert (found["state"], found["download"], found["rows"]) == ("REFUSED", None, 0)
    assert found["problem"] == f"Run {made.run_id} is draft: nothing is paid before it is approved."
    assert not store.exists() or not list(store.iterdir())
    async with api.db.read() as session:
        assert (await session.scalars(select(models.PersonalRead))).all() == []


async def test_what_is_done_is_not_done_again(own_sample: Api, store: Any) -> None:
    api, token = own_sample, await own_sample.token(**WHO["finance"])
    run = await the_run(api, token)
    first = await exported(api, token, run=run, document="STATEMENT_DETAIL")
    second = await exported(api, token, run=run, document="STATEMENT_DETAIL")
    assert (first["sha256"], first["rows"]) == (second["sha256"], second["rows"])
    async with api.db.read() as session:
        (one, other) = (await session.scalars(select(models.FinanceExport.id).order_by(models.FinanceExport.id))).all()
    await finance_exports.write_finance_export(api.db, export_id=other)
    assert one != other
    assert len(list(store.iterdir())) == 2
