"""Finance settles what a rail and we say different of."""

from pathlib import Path
from typing import Any

from sqlalchemy import select

from s2b2c import models
from s2b2c.api.types.ids import encode
from s2b2c.money import format_yuan
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.doors import lived_in
from tests.api.operations import check
from tests.api.test_files import bearer
from tests.api.test_payouts_door import RUN, begun, told
from tests.api.test_settling import staff
from tests.test_jobs import run_until_left


async def test_a_break_is_settled(own_sample: Api) -> None:
    api = own_sample
    await lived_in(api)
    token = await staff(api)
    await check(api, "finance/RailBreaks", token, statements=2)
    await check(api, "finance/RailReports", token, statements=2)
    of_stripe = await api.run("finance/RailBreaks", token, rail="STRIPE")
    assert of_stripe["data"]["finance"]["railBreaks"]["edges"] == []
    async with api.db.read() as session:
        break_id = encode("rail-break", (await session.scalars(select(models.RailBreak.id))).one())
    nobody = await api.run("finance/ResolveBreak", await api.token("finance"), id=break_id, reason="x")
    assert nobody["data"]["resolveBreak"]["code"] == "WRONG_STATE"
    done = await check(
        api, "finance/ResolveBreak", token, id=break_id, reason="银行更正", statements=3, drawn=("resolvedAt",)
    )
    assert done["data"]["resolveBreak"]["resolvedAt"] == NOW.isoformat()
    for id_, reason, code in ((break_id, "x", "WRONG_STATE"), (encode("rail-break", 999), "x", "NOT_FOUND")):
        answer = await api.run("finance/ResolveBreak", token, id=id_, reason=reason)
        assert answer["data"]["resolveBreak"]["code"] == code
    left = await api.run("finance/RailBreaks", token)
    assert left["data"]["finance"]["railBreaks"]["edges"] == []


async def test_a_report_is_uploaded_and_read(own_sample: Api, store: Path) -> None:
    api = own_sample
    assert store.name == "store"
    maker, _ = await told(api)
    await begun(api)
    async with api.db.read() as session:
        it = models.PayoutAttempt
        query = (
            select(it.key, models.Payout.amount).join(models.Payout, models.Payout.id == it.payout_id).order_by(it.id)
        )
        (key, amount), *_ = (await session.execute(query)).all()

    async def upload(text: str, name: str = "回盘.csv") -> str:
        parameters = {"kind": "rail_report", "name": name}
        answer = await api.http.post("/files", params=parameters, content=text.encode(), headers=bearer(maker))
        assert answer.status_code == 201
        return str(answer.json()["id"])

    async def last() -> Any:
        await run_until_left(api.db, [])
        answer = await api.run("finance/RailReports", maker, first=1)
        return answer["data"]["finance"]["railReports"]["edges"][0]["node"]

    header = "付款附言,付款结果,金额（元）,银行流水号,失败原因\n"
    file = await upload(f"{header}{key},成功,{format_yuan(amount)},行1,\nnobody,成功,1.00,行2,\n")
    await check(api, "finance/ReadReport", maker, rail="BANK", file=file, statements=4)
    read = await last()
    assert (read["state"], read["rows"], read["problem"]) == ("DONE", 2, None)
    confirmed = await api.run("finance/Payouts", maker, run=RUN, states=["CONFIRMED"])
    (edge,) = confirmed["data"]["finance"]["payouts"]["edges"]
    assert edge["node"]["attempts"][0]["key"] == key
    breaks = await api.run("finance/RailBreaks", maker, rail="BANK", first=100)
    kinds = [it["node"]["kind"] for it in breaks["data"]["finance"]["railBreaks"]["edges"]]
    assert (kinds.count("MISSING_HERE"), set(kinds)) == (1, {"MISSING_HERE", "MISSING_THERE"})
    bad = await upload(f"{header}{key},也许,1.00,,\n", "坏.csv")
    await api.run("finance/ReadReport", maker, rail="BANK", file=bad)
    read = await last()
    assert (read["state"], read["rows"]) == ("REFUSED", 0)
    assert "line 2, column 付款结果: '也许' is none of" in read["problem"]
    days = {"from": "2026-11-01", "to": "2026-12-01"}
    empty = await upload(
        "balance_transaction_id,reporting_category,source_id,payment_intent_id,gross,currency,created_utc\n", "s.csv"
    )
    for variables, code in (
        ({"rail": "STRIPE"}, "BAD_ARGUMENT"),
        ({"rail": "BANK", **days}, "BAD_ARGUMENT"),
        ({"rail": "STRIPE", "from": "2026-12-01", "to": "2026-11-01"}, "BAD_ARGUMENT"),
        ({"rail": "BANK", "file": encode("file", 999)}, "NOT_FOUND"),
    ):
        answer = await api.run("finance/ReadReport", maker, **{"file": empty, **variables})
        assert answer["data"]["readReport"]["code"] == code
    nobody = await api.run("finance/ReadReport", await api.token("finance"), rail="STRIPE", file=empty, **days)
    assert nobody["data"]["readReport"]["code"] == "WRONG_STATE"
    await api.run("finance/ReadReport", maker, rail="STRIPE", file=empty, **days)
    assert (await last())["state"] == "DONE"
