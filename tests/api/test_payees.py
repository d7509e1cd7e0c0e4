"""To whom money goes: told by its owner, shown masked to its owner alone, and right by the standards of its numbers."""

from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select, text

from s2b2c import models, payees
from tests import factories
from tests.api.client import Api
from tests.api.shopping import COMPANY, PERSON, Json, a_shop, done, refuses

TODAY = date(2026, 11, 22)
SHOWN = {"legalName": "王**", "identityNumber": "110***********002X", "bankName": PERSON["bankName"]}
SHOWN_ACCOUNT = {"bankAccount": "***************0128"}


async def payee(api: Api, door: str, token: str) -> Json | None:
    answer = await api.run(f"{door}/Payee", token)
    assert len(api.statements) == 2, api.statements
    found: Json | None = answer["data"][door]["payee"]
    return found


@pytest.mark.parametrize("door", ["partner", "brand"])
async def test_somebody_says_to_whom_its_money_goes(api: Api, door: str) -> None:
    shop = await a_shop(api)
    token = await shop.seller() if door == "partner" else await shop.brand(0)
    others = [("partner", await api.token("distributor", distributor=shop.top.code)), ("brand", await shop.brand(1))]
    assert await payee(api, door, token) is None
    before = datetime.now(UTC)
    typed = {**PERSON, "identityNumber": "110105 19491231 002x", "bankAccount": "6222 0212-3456 7890 128"}
    said = await done(api, f"{door}/SetPayee", token, input=typed)
    assert len(api.statements) == 2, api.statements
    at = datetime.fromisoformat(said.pop("updatedAt"))
    assert before <= at <= datetime.now(UTC)
    assert said == SHOWN | SHOWN_ACCOUNT
    found = await payee(api, door, token)
    assert found == {**said, "updatedAt": at.isoformat()}
    for other, who in others:
        assert await payee(api, other, who) is None, "it is of nobody else"
    changed = await done(api, f"{door}/SetPayee", token, input=COMPANY)
    del changed["updatedAt"]
    assert changed == {
        "legalName": "澄**",
        "identityNumber": "913***********0Y43",
        "bankName": COMPANY["bankName"],
        "bankAccount": "***************2345",
    }
    async with api.db.read() as session:
        (row,) = (await session.scalars(select(models.Payee))).all()
        account = await session.get_one(models.Account, row.updated_by)
        (stored,) = await session.scalars(text("SELECT to_jsonb(p)::text FROM payees p"))
    assert (row.legal_name, row.identity_number, row.bank_name, row.bank_account) == tuple(COMPANY.values())
    assert account.role == ("distributor" if door == "partner" else "brand")
    assert (row.distributor_id, row.brand_id) == (
        (shop.owner.id, None) if door == "partner" else (None, shop.brands[0].id)
    )
    assert [value for name, value in COMPANY.items() if value in stored and name != "bankName"] == []


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"legalName": " "}, "legal name"),
        ({"legalName": "长" * 101}, "legal name"),
        ({"legalName": "王\n芳"}, "legal name"),
        ({"bankName": ""}, "bank name"),
        ({"bankName": "a\x01b"}, "bank name"),
        ({"identityNumber": "110105194912310021"}, "identity number"),
        ({"identityNumber": "1" * 5_000}, "identity number"),
        ({"identityNumber": "91350100M000100Y44"}, "identity number"),
        ({"bankAccount": "6222021234567890129"}, "bank card"),
        ({"bankAccount": "1402027109600012345"}, "bank card"),
        ({"bankAccount": ""}, "bank card"),
        ({"identityNumber": COMPANY["identityNumber"], "bankAccount": "1234567"}, "8 to 32"),
        ({"identityNumber": COMPANY["identityNumber"], "bankAccount": "１４０２０２７１０９"}, "8 to 32"),
    ],
)
async def test_what_cannot_be_right_is_refused_and_not_repeated(api: Api, wrong: Json, what: str) -> None:
    shop = await a_shop(api)
    token = await shop.seller()
    before = await done(api, "partner/SetPayee", token, input=PERSON)
    refused = await refuses(api, "BadArgument", "partner/SetPayee", token, input={**PERSON, **wrong})
    assert what in refused["message"]
    assert [value for value in wrong.values() if value.strip() and value in refused["message"]] == []
    assert await payee(api, "partner", token) == {name: before[name] for name in (*PERSON, "updatedAt")}


async def test_an_applicant_is_paid_nothing_yet(api: Api) -> None:
    async with api.db.write() as session:
        newcomer = await factories.a_distributor(session, state="applied")
    token = await api.token("distributor", distributor=newcomer.code)
    answer = await api.run("partner/SetPayee", token, input=PERSON)
    assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    async with api.db.read() as session:
        assert (await session.scalars(select(models.Payee))).all() == []


# The examples of GB 11643-1999, 4.2, and more that were worked out by hand from its formula.
@pytest.mark.parametrize(
    ("number", "right"),
    [
        ("11010519491231002X", True),
        ("440524188001010014", True),
        ("11010519491231002x", False),
        ("11010519491231003X", False),
        ("110105194912310020", False),
        ("11010519490231002X", False),
        ("010105194912310021", False),
        ("1101051949123100", False),
        ("１１０１０５１９４９１２３１００２Ｘ", False),
    ],
)
def test_the_number_of_a_person(number: str, right: bool) -> None:  # noqa: FBT001  a column of the table
    assert payees.is_identity_number(number, TODAY) is right


def test_nobody_was_born_tomorrow() -> None:
    number = "11010520261122002"
    checked = [f"{number}{digit}" for digit in "0123456789X"]
    assert len([it for it in checked if payees.is_identity_number(it, TODAY)]) == 1
    assert [it for it in checked if payees.is_identity_number(it, date(2026, 11, 21))] == []


def test_one_check_character_is_right_and_a_slip_is_seen() -> None:
    person, code, card = PERSON["identityNumber"], COMPANY["identityNumber"], PERSON["bankAccount"]
    assert [payees.is_identity_number(person[:17] + it, TODAY) for it in "0123456789X"].count(True) == 1
    assert [payees.is_credit_code(code[:17] + it) for it in payees._CREDIT_LETTERS].count(True) == 1
    assert [payees.is_bank_card(card[:18] + it) for it in "0123456789"].count(True) == 1
    for place in range(17):
        for it in "0123456789":
            if it != person[place]:
                assert not payees.is_identity_number(person[:place] + it + person[place + 1 :], TODAY)
            if it != code[place]:
                assert not payees.is_credit_code(code[:place] + it + code[place + 1 :])
            if it != card[place]:
                assert not payees.is_bank_card(card[:place] + it + card[place + 1 :])


# The first is the example of GB 32100-2015, annex B; Luhn's is of ISO/IEC 7812-1, with two numbers of test cards.
@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("91350100M000100Y43", True),
        ("91350100M000100Y4", False),
        ("91350100m000100y43", False),
        ("9135O100M000100Y43", False),
    ],
)
def test_the_code_of_a_company(code: str, right: bool) -> None:  # noqa: FBT001
    assert payees.is_credit_code(code) is right


@pytest.mark.parametrize(
    ("number", "right"),
    [
        ("4242424242424242", True),
        ("6200000000000005", True),
        ("4242424242424241", False),
        ("79927398713", False),
        ("4242 4242 4242 4242", False),
    ],
)
def test_the_number_of_a_card(number: str, right: bool) -> None:  # noqa: FBT001
    assert payees.is_bank_card(number) is right
