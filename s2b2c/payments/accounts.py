"""Connected accounts: where a brand or a distributor has its money sent, and what Stripe lets it do."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.db import Database
from s2b2c.errors import NotFound, Refused, WrongState
from s2b2c.models import Brand, Distributor, StripeAccount
from s2b2c.payments.gateway import Connected, Declined, Gateway, connected, once
from s2b2c.sql import statements

_CLOCKS_APART = timedelta(minutes=5)


class AccountState(NamedTuple):
    """What Stripe says of a connected account, and when it said so."""

    id: str
    transfers: str
    payouts_enabled: bool
    details_submitted: bool
    changed_at: datetime


async def account_of(
    session: AsyncSession, *, brand_id: int | None = None, distributor_id: int | None = None
) -> StripeAccount | None:
    """The connected account of a brand or a distributor, if it has one."""
    whose = (
        StripeAccount.brand_id == brand_id if brand_id is not None else StripeAccount.distributor_id == distributor_id
    )
    return await session.scalar(select(StripeAccount).where(whose))


async def onboard(
    db: Database,
    gateway: Gateway | None,
    *,
    brand_id: int | None = None,
    distributor_id: int | None = None,
    return_url: str,
    refresh_url: str,
) -> str:
    """The address of Stripe's pages, good for one visit, where a brand or a distributor says who it is.

    The account is made the first time. `return_url` is where the visit ends, `refresh_url` where an address that was
    used up leads: ask for another one there. Raises Refused: NotFound for nobody, WrongState where Stripe does not
    take it; GatewayError where Stripe cannot be reached.
    """
    assert (brand_id is None) != (distributor_id is None)
    gateway = connected(gateway)
    async with db.read() as session:
        known = await account_of(session, brand_id=brand_id, distributor_id=distributor_id)
        owner = await session.get(*((Brand, brand_id) if brand_id is not None else (Distributor, distributor_id)))
    if owner is None:
        raise Refused(NotFound("There is no such brand or distributor."))
    try:
        account_id = known.id if known else await _account(db, gateway, brand_id, distributor_id)
        return await gateway.create_account_link(account_id, return_url=return_url, refresh_url=refresh_url)
    except Declined as error:
        raise Refused(WrongState(f"Stripe does not take this ({error.code}).")) from None


async def _account(db: Database, gateway: Gateway, brand_id: int | None, distributor_id: int | None) -> str:
    kind, owner_id = ("brand", brand_id) if brand_id is not None else ("distributor", distributor_id)
    metadata = {f"{kind}_id": str(owner_id)}
    made: Connected = await once(
        lambda key: gateway.create_account(metadata=metadata, key=key), f"s2b2c-account-{kind}-{owner_id}"
    )
    async with db.write() as session:
        await session.execute(
            insert(StripeAccount)
            .values(
                id=made.id,
                brand_id=brand_id,
                distributor_id=distributor_id,
                transfers=made.transfers,
                payouts_enabled=made.payouts_enabled,
                details_submitted=made.details_submitted,
                changed_at=made.created_at,
            )
            .on_conflict_do_nothing()
        )
        known = await account_of(session, brand_id=brand_id, distributor_id=distributor_id)
    assert known is not None
    return known.id


async def refresh_account(
    db: Database, gateway: Gateway | None, *, account_id: str, now: datetime
) -> StripeAccount | None:
    """Ask Stripe what an account may do by now; None for one that is not ours. Raises GatewayError."""
    account = await connected(gateway).retrieve_account(account_id)
    # Stripe's clock stamps the events: what it says after this moment must not be taken for older.
    state = AccountState(
        account.id,
        account.transfers,
        account.payouts_enabled,
        account.details_submitted,
        now - _CLOCKS_APART,
    )
    async with db.write() as session:
        await apply_states(session, [state])
        return await session.get(StripeAccount, account_id)


async def apply_states(session: AsyncSession, states: Sequence[AccountState]) -> list[str]:
    """Write down what Stripe says of our accounts; answers those that changed. What it said earlier comes too late."""
    changed = await session.scalars(
        statements("payments")["account_states"],
        {
            "ids": [it.id for it in states],
            "transfers": [it.transfers for it in states],
            "payouts": [it.payouts_enabled for it in states],
            "details": [it.details_submitted for it in states],
            "times": [it.changed_at for it in states],
        },
    )
    return list(changed)
