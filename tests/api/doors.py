"""Who stands at the doors of the sample network, and one thing there of every kind that has an id."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select

from s2b2c import accounts, models, orders, payouts
from s2b2c.accounts import people, sessions
from s2b2c.accounts.viewer import account_of
from s2b2c.api.types.ids import decode, encode
from tests import factories
from tests.api.client import SECRET, Api
from tests.api.conftest import NOW
from tests.api.shopping import HOME, Json, done
from tests.api.test_jobs import some_held

WHO: dict[str, dict[str, str]] = {
    "customer": {"role": "customer", "customer": "kh-32001"},
    "distributor": {"role": "distributor", "distributor": "ZJ-HZ"},
    "brand": {"role": "brand", "brand": "绒溪小厨"},
    "finance": {"role": "finance"},
    "operator": {"role": "operator"},
}
OF_A_SESSION = {"signOut", "changePassword", "exportMyData", "eraseMe"}
"""Mutations for which a role is not enough: a token of the command line may not."""
OTHERS: dict[str, dict[str, str]] = {
    "customer": {"role": "customer", "customer": "kh-32002"},
    "distributor": {"role": "distributor", "distributor": "ZJ"},
    "brand": {"role": "brand", "brand": "澄露原述"},
}
"""Strangers to them, in the same roles; the distributor stands right above the other."""


async def signed_in(api: Api, role: str) -> str:
    """The token of a new session, of whoever stands there."""
    token, now = await api.token(**WHO[role]), datetime.now(UTC)
    async with api.db.write() as session:
        account_id = (await accounts.viewer_of(session, token, SECRET, now)).account_id
        held = select(models.Membership.person_id).where(models.Membership.account_id == account_id)
        if (person_id := await session.scalar(held)) is None:
            session.add(person := models.Person())
            await session.flush()
            person_id = person.id
            await people.join(session, person_id, account_id)
        begun = await sessions.start(
            session, person_id, method="password", account_id=account_id, secret=SECRET, now=now
        )
    assert begun.access_token is not None
    return begun.access_token


async def lived_in(api: Api) -> None:
    """What the sample lacks: an address, an order with something to ship for the brand, and a job that is held."""
    token = await api.token(**WHO["customer"])
    address = (await done(api, "shop/SaveAddress", token, input=HOME))["id"]
    lines = [await _line(api, WHO["brand"]["brand"]), await _line(api, OTHERS["brand"]["brand"])]
    wanted = {"store": encode("store", 1), "lines": lines, "address": address, "token": "one"}
    placed = (await done(api, "shop/PlaceOrder", token, input=wanted))["id"]
    branch_id, order_id = decode("order", placed, length=2)
    async with api.db.write() as session:
        assert await orders.pay(session, [(branch_id, order_id, NOW)], rail="import")
        for who in (WHO, OTHERS):
            brand = select(models.Brand.id).where(models.Brand.name == who["brand"]["brand"]).scalar_subquery()
            variant = select(func.min(models.Variant.id)).where(models.Variant.brand_id == brand)
            variant_id = await session.scalar(variant)
            assert variant_id is not None
            await factories.a_price_change(session, variant_id, NOW + timedelta(days=1))
    await some_held(api.db, 1)
    for who in (WHO, OTHERS):
        await _some_bulk_edits(api, who["brand"]["brand"])
    await _an_export(api)
    await _some_reports(api)


async def _an_export(api: Api) -> None:
    """A summary that finance has asked for, whose file is not kept any more; the payouts of the run, started, and a
    line of a bank that nobody knows."""
    async with api.db.write() as session:
        exported = models.FinanceExport(
            document="statement_summary",
            run_id=(await session.scalars(select(models.SettlementRun.id).limit(1))).one(),
            format="csv",
            language="zh",
            encoding="utf-8",
            with_payees=False,
            account_id=await account_of(session, "finance"),
            name="statement-summary-run-1.csv",
            state="done",
            created_at=NOW,
            started_at=NOW,
            finished_at=NOW,
        )
        session.add(exported)
        report = models.RailReport(rail="bank", name="return.csv", sha256="0" * 64, rows=1, state="done", read_at=NOW)
        session.add(report)
        await session.flush()
        missing = {"kind": "missing_here", "category": "payout", "reference": "nobody's", "theirs": -100}
        session.add(models.RailBreak(rail="bank", at=NOW, report_id=report.id, **missing))
        await payouts.start(session, exported.run_id or 0, rail="bank", by=None, now=NOW)


async def _some_reports(api: Api) -> None:
    """What stores sold in October: refused by each brand and by the operator, so that no file is there."""
    days = {"starts_on": date(2026, 10, 1), "ends_on": date(2026, 11, 1)}
    async with api.db.write() as session:
        for brand in (WHO["brand"]["brand"], OTHERS["brand"]["brand"], None):
            brand_id = await session.scalar(select(models.Brand.id).where(models.Brand.name == brand))
            account_id = await account_of(session, "operator" if brand is None else "brand", brand_id)
            report = models.SalesExport(
                report="stores", **days, brand_id=brand_id, format="csv", language="zh", encoding="utf-8",
                account_id=account_id, name="stores-2026-10-01-2026-11-01.csv", state="refused", problem="测试",
                created_at=NOW, started_at=NOW, finished_at=NOW,
            )  # fmt: skip
            session.add(report)


async def _some_bulk_edits(api: Api, brand: str) -> None:
    """An import that was refused, and an export, of 2026-11-01; the files are not in the store."""
    at = datetime(2026, 11, 1, tzinfo=UTC)
    async with api.db.write() as session:
        brand_id = (await session.scalars(select(models.Brand.id).where(models.Brand.name == brand))).one()
        account_id = await account_of(session, "brand", brand_id)
        its: dict[str, Any] = {"brand_id": brand_id, "account_id": account_id, "created_at": at}
        files = [
            models.File(kind=kind, name=f"{kind}.csv", object_name=f"{kind} {brand}", size=1, sha256="0", **its)
            for kind in ("catalogue", "import_report", "catalogue_export")
        ]
        session.add_all(files)
        await session.flush()
        its |= {"started_at": at, "finished_at": at}
        refused = models.BulkRun(
            kind="import", name="catalogue.csv", file_id=files[0].id, is_dry_run=False, language="zh", state="refused",
            problems=2, report_file_id=files[1].id, **its,
        )  # fmt: skip
        exported = models.BulkRun(
            kind="export", name="catalogue-2026-11-01.csv", file_id=files[2].id, with_stock=False, state="done", **its
        )
        session.add_all([refused, exported])


async def _line(api: Api, brand: str) -> Json:
    """One of the first thing of a brand's that the store sells."""
    answer = await api.run("shop/Storefront", slug="hangzhou", first=100)
    for edge in answer["data"]["shop"]["store"]["listings"]["edges"]:
        for variant in edge["node"]["variants"]:
            if edge["node"]["product"]["brand"]["name"] == brand and variant["inStock"]:
                return {"variant": variant["id"], "quantity": 1}
    raise AssertionError(f"nothing of {brand}")
