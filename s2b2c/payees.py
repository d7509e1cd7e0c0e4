"""To whom money goes (收款人): the name, number and bank account that finance pays out to and tells the tax office."""

import re
from collections.abc import Collection
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.config import SHANGHAI
from s2b2c.db import AnyRow
from s2b2c.errors import BadArgument, Refused
from s2b2c.models import Payee, Statement
from s2b2c.sealed import masked

_MAX_NAME = 100
_CREDIT_CODE = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_CREDIT_LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_COMPANY_ACCOUNT = re.compile(r"[0-9]{8,32}", re.ASCII)
_CARD = re.compile(r"[0-9]{16,19}", re.ASCII)


class PayeeDetails(NamedTuple):
    """As somebody typed it. The number is the 身份证号 of a person or the 统一社会信用代码 of a company."""

    legal_name: str
    identity_number: str
    bank_name: str
    bank_account: str


async def payee_of(
    session: AsyncSession, *, distributor_id: int | None = None, brand_id: int | None = None
) -> AnyRow | None:
    """The payee of a distributor or a brand, masked: a row of (legal_name, identity_number, bank_name, bank_account,
    updated_at). None before it has told one."""
    owner = Payee.brand_id == brand_id if brand_id is not None else Payee.distributor_id == distributor_id
    return (await session.execute(select(*_masked()).where(owner))).one_or_none()


async def set_payee(
    session: AsyncSession,
    details: PayeeDetails,
    *,
    distributor_id: int | None = None,
    brand_id: int | None = None,
    account_id: int,
    now: datetime,
) -> AnyRow:
    """Keep to whom the money of a distributor or a brand goes, in place of whom it went to before; a row as of
    `payee_of`. Raises Refused(BadArgument), which repeats nothing of what was typed."""
    assert (distributor_id is None) != (brand_id is None)
    checked = _checked(details, now.astimezone(SHANGHAI).date())
    values: dict[str, Any] = {**checked._asdict(), "updated_at": now, "updated_by": account_id}
    owner = Payee.distributor_id if brand_id is None else Payee.brand_id
    statement = insert(Payee).values(distributor_id=distributor_id, brand_id=brand_id, **values)
    statement = statement.on_conflict_do_update(
        index_elements=[owner], set_={name: statement.excluded[name] for name in values}
    )
    return (await session.execute(statement.returning(*_masked()))).one()


async def payees_of_statements(session: AsyncSession, statement_ids: Collection[int]) -> dict[int, PayeeDetails]:
    """By statement to whom it is paid, in full, as far as its owner has told: for the files of finance alone, and
    whoever asks leaves a trail."""
    wanted = any_(literal(sorted(statement_ids), ARRAY(BigInteger)))
    found: dict[int, PayeeDetails] = {}
    for column, owner in ((Statement.distributor_id, Payee.distributor_id), (Statement.brand_id, Payee.brand_id)):
        rows = await session.execute(
            select(Statement.id, Payee.legal_name, Payee.identity_number, Payee.bank_name, Payee.bank_account)
            .join(Payee, column == owner)
            .where(Statement.id == wanted)
        )
        found |= {id_: PayeeDetails(*told) for id_, *told in rows}
    return found


def _masked() -> list[ColumnElement[Any]]:
    return [
        masked(Payee.legal_name).label("legal_name"),
        masked(Payee.identity_number).label("identity_number"),
        Payee.bank_name.expression,
        masked(Payee.bank_account).label("bank_account"),
        Payee.updated_at.expression,
    ]


def _checked(typed: PayeeDetails, today: date) -> PayeeDetails:
    """Without blanks. Raises Refused(BadArgument)."""
    for what, name in (("legal name", typed.legal_name), ("bank name", typed.bank_name)):
        if not 1 <= len(name.strip()) <= _MAX_NAME or not name.strip().isprintable():
            raise Refused(BadArgument(f"The {what} must be 1 to {_MAX_NAME} printable characters."))
    number = re.sub(r"[ \-]", "", typed.identity_number[:50]).upper()
    account = re.sub(r"[ \-]", "", typed.bank_account[:60])
    if is_identity_number(number, today):
        if not is_bank_card(account):
            raise Refused(BadArgument("The bank account of a person must be a bank card: 16 to 19 right digits."))
    elif not is_credit_code(number):
        raise Refused(
            BadArgument("The identity number must be a right 身份证号 of 18 characters, or a right 统一社会信用代码.")
        )
    elif not _COMPANY_ACCOUNT.fullmatch(account):
        raise Refused(BadArgument("The bank account of a company must be 8 to 32 digits."))
    return PayeeDetails(typed.legal_name.strip(), number, typed.bank_name.strip(), account)


def is_identity_number(number: str, today: date) -> bool:
    """Whether it is a 公民身份号码 of somebody born until today: GB 11643-1999, a day of birth and a check digit of ISO
    7064, MOD 11-2."""
    if not re.fullmatch(r"[1-9][0-9]{16}[0-9X]", number):
        return False
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * (2 ** (17 - place) % 11) for place, digit in enumerate(number[:17]))
    return born <= today and number[17] == "10X98765432"[total % 11]


def is_credit_code(code: str) -> bool:
    """Whether it is a 统一社会信用代码: GB 32100-2015, whose 18th character checks the others, weighed by the powers of
    3 modulo 31, over an alphabet without I, O, S, V and Z."""
    if not _CREDIT_CODE.fullmatch(code):
        return False
    total = sum(_CREDIT_LETTERS.index(letter) * (3**place % 31) for place, letter in enumerate(code[:17]))
    return code[17] == _CREDIT_LETTERS[-total % 31]


def is_bank_card(number: str) -> bool:
    """Whether it is the number of a bank card: 16 to 19 digits, the last of which checks the others by the formula of
    Luhn (ISO/IEC 7812-1, annex B)."""
    if not _CARD.fullmatch(number):
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(digit - 9 * (digit > 9) for digit in doubled) % 10 == 0
