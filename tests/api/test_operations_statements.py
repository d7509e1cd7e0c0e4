"""The operations of those who are paid, on the sample network: the same at the doors of partners and of brands."""

from typing import Any

import pytest

from tests.api.client import Api
from tests.api.operations import check

PAYEES = [
    ("partner", {"role": "distributor", "distributor": "ZJ-HZ"}),
    ("brand", {"role": "brand", "brand": "澄露原述"}),
]


async def _own(api: Api, door: str, token: str) -> Any:
    """The one statement of this payee."""
    (edge,) = (await api.run(f"{door}/Statements", token))["data"][door]["statements"]["edges"]
    return edge["node"]


@pytest.mark.parametrize(("door", "payee"), PAYEES)
async def test_statements(sample: Api, door: str, payee: dict[str, str]) -> None:
    token = await sample.token(**payee)
    for first in (1, 100):
        await check(sample, f"{door}/Statements", token, first=first, statements=2)


@pytest.mark.parametrize(("door", "payee"), PAYEES)
async def test_a_statement_down_to_the_order_line(sample: Api, door: str, payee: dict[str, str]) -> None:
    token = await sample.token(**payee)
    statement = await _own(sample, door, token)
    await check(sample, f"{door}/Statement", token, id=statement["id"], first=3, statements=3)
    amounts: list[int] = []
    after, more = None, True
    while more:
        answer = await sample.run(f"{door}/Statement", token, id=statement["id"], first=100, after=after)
        assert len(sample.statements) == 3, sample.statements
        lines = answer["data"][door]["statement"]["lines"]
        amounts += [edge["node"]["amount"]["amount"] for edge in lines["edges"]]
        more, after = lines["pageInfo"]["hasNextPage"], lines["pageInfo"]["endCursor"]
    assert (len(amounts), sum(amounts)) == (statement["lineCount"], statement["gross"]["amount"])


async def test_another_payees_statement_is_none(sample: Api) -> None:
    tokens = {door: await sample.token(**payee) for door, payee in PAYEES}
    own = {door: (await _own(sample, door, token))["id"] for door, token in tokens.items()}
    other = await sample.token("distributor", distributor="ZJ")
    cases = [
        ("partner", tokens["partner"], "brand"),
        ("brand", tokens["brand"], "partner"),
        ("partner", other, "partner"),
    ]
    for door, token, whose in cases:
        answer = await sample.run(f"{door}/Statement", token, id=own[whose])
        assert answer == {"data": {door: {"statement": None}}}
