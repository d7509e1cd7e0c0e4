"""One-time codes: six digits to a phone, for five minutes, five tries and one use."""

import logging
import secrets
from datetime import datetime, timedelta
from typing import Final

import aiohttp
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import crypto
from s2b2c.accounts import people
from s2b2c.config import settings
from s2b2c.errors import Refused, SignInOff, WrongCredentials
from s2b2c.failures import kind_of
from s2b2c.models import OneTimeCode

LIFETIME = timedelta(minutes=5)
MAX_TRIES: Final = 5
_TIMEOUT = aiohttp.ClientTimeout(total=10)

logger = logging.getLogger(__name__)


async def draw(session: AsyncSession, phone: str, now: datetime) -> str:
    """A new code for a phone. The one before it is worth nothing any more."""
    code = f"{secrets.randbelow(10**6):06}"
    values = {
        "digest": _digest(phone, code),
        "expires_at": now + LIFETIME,
        "tries": 0,
        "used_at": None,
    }
    await session.execute(
        insert(OneTimeCode)
        .values(phone=people.fingerprint("phone", phone), **values)
        .on_conflict_do_update(index_elements=[OneTimeCode.phone], set_=values)
    )
    return code


async def redeem(session: AsyncSession, phone: str, code: str, now: datetime) -> WrongCredentials | None:
    """Use the code of a phone up: None if it was the one. Commit whatever it answers, since a wrong one counts.

    However many come at once, the row lets one after the other in, and no more than MAX_TRIES are compared at all.
    """
    is_right = await session.scalar(
        _REDEEM,
        {"phone": people.fingerprint("phone", phone), "digest": _digest(phone, code), "now": now, "most": MAX_TRIES},
    )
    if is_right is None:
        return WrongCredentials("There is no code for this phone that could still be used: ask for a new one.")
    return None if is_right else WrongCredentials("The code is wrong.")


async def send(phone: str, code: str) -> None:
    """Have the gateway of `S2B2C_SMS_URL` send it: a POST of {"phone", "code", "minutes"}, answered 2xx.

    Raises Refused(SignInOff).
    """
    url, token = settings().sms_url, settings().sms_token
    if url is None:
        raise Refused(SignInOff("This server sends no codes: whoever runs it sets S2B2C_SMS_URL."))
    told = {
        "phone": phone if phone.startswith("+") else f"+86{phone}",
        "code": code,
        "minutes": LIFETIME // timedelta(minutes=1),
    }
    headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as http,
            http.post(url, json=told, headers=headers, allow_redirects=False) as answer,
        ):
            status: int | str = answer.status
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        status = kind_of(error)  # its message may hold the address with a key in it
    if status not in range(200, 300):
        logger.warning("the SMS gateway did not take a code (%s)", status)
        raise Refused(SignInOff("The code could not be sent: try again in a minute."))


def _digest(phone: str, code: str) -> bytes:
    return crypto.keys().fingerprint("code", phone, code[:20].encode(errors="replace").decode())


_REDEEM = text(
    """
    UPDATE one_time_codes
    SET tries = tries + 1, used_at = CASE WHEN digest = :digest THEN CAST(:now AS timestamptz) END
    WHERE phone = :phone AND used_at IS NULL AND tries < :most AND expires_at > :now
    RETURNING digest = :digest
    """
)
