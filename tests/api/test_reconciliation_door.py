"""Finance settles what a rail and we say different of."""

from sqlalchemy import select

from s2b2c import models
from s2b2c.api.types.ids import encode
from tests.api.client import Api
from tests.api.conftest import NOW
from tests.api.doors import lived_in
from tests.api.operations import check
from tests.api.test_settling import staff


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
