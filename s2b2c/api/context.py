"""What a request carries: who asks, the database, its loaders, the time."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import strawberry
from strawberry.fastapi import BaseContext

from s2b2c import accounts, logs, payments
from s2b2c.accounts import Viewer
from s2b2c.api.loaders import Loaders
from s2b2c.api.placing import Placing
from s2b2c.api.rates import Rates
from s2b2c.db import Database
from s2b2c.errors import Forbidden, PaymentsOff, Refused, Unauthenticated

NO_KEY = "This server takes no payments: whoever runs it sets S2B2C_STRIPE_API_KEY, a key of Stripe."


class Context(BaseContext):
    def __init__(
        self,
        db: Database,
        *,
        clock: Callable[[], datetime],
        secret: str,
        authorization: str | None,
        address: str,
        gateway: payments.Gateway | None,
        placing: Placing,
        rates: Rates | None,
    ) -> None:
        """Without a `gateway` there are no payments; without `rates` anybody may ask as much as they like."""
        super().__init__()
        self.db = db
        self.load = Loaders(db, clock)
        self.clock = clock
        self.secret = secret
        self.address = address
        self.placing = placing
        self.node_types: dict[int, str] = {}
        """Of the rows that `node` has read, by their `id()`: what they are in GraphQL."""
        self._gateway = gateway
        self._rates = rates
        self._authorization = authorization
        self._viewer: asyncio.Task[Viewer] | None = None

    async def count_request(self) -> None:
        """Raises Refused(TooManyRequests) where too many come from this address."""
        if self._rates is not None:
            await self._rates.count_address(self.address, self.clock())

    async def viewer(self) -> Viewer:
        """Who is asking, looked up once however many doors ask. Raises Refused(Unauthenticated)."""
        if self._viewer is None:
            self._viewer = asyncio.create_task(self._find_viewer())
        return await self._viewer

    async def distributor_id(self) -> int:
        """The distributor who is asking, behind the door of partners. Raises Refused(Forbidden) for an applicant, and
        for one that was eliminated: its access ended."""
        viewer = await self.payee()
        if viewer.state == "eliminated":
            raise Refused(
                Forbidden("This distributor was eliminated: it sees itself, its notices and what it is paid, no more.")
            )
        assert viewer.distributor_id is not None, "a distributor's account has a distributor"
        return viewer.distributor_id

    async def payee(self) -> Viewer:
        """Who is asking, behind the door of those who are paid out, the eliminated among them: what they have earned
        is paid. Raises Refused(Forbidden) for an applicant, who is paid nothing yet."""
        viewer = await self.viewer()
        if viewer.state in {"applied", "rejected"}:
            raise Refused(Forbidden("Your application is not approved: until then you see yourself and your notices."))
        return viewer

    async def brand_id(self) -> int:
        """The brand that is asking, behind the door of brands."""
        viewer = await self.viewer()
        assert viewer.brand_id is not None, "a brand's account has a brand"
        return viewer.brand_id

    async def customer_id(self) -> int:
        """The customer who is asking, behind the door of customers."""
        viewer = await self.viewer()
        assert viewer.customer_id is not None, "a customer's account has a customer"
        return viewer.customer_id

    @property
    def has_token(self) -> bool:
        return self._authorization is not None

    async def shopper_id(self) -> int | None:
        """The customer who is asking at a door that is open to all; None for anybody else."""
        if self._authorization is None:
            return None
        try:
            return (await self.viewer()).customer_id
        except Refused as refused:
            if isinstance(refused.refusal, Unauthenticated):  # what anybody may see is seen with an old token too
                return None
            raise

    @contextmanager
    def stripe(self) -> Iterator[payments.Gateway]:
        """What Stripe is asked through. Raises Refused(PaymentsOff) without one, and where it comes to nothing."""
        if self._gateway is None:
            raise Refused(PaymentsOff(NO_KEY))
        try:
            yield self._gateway
        except payments.GatewayError as error:
            raise Refused(PaymentsOff(str(error))) from None

    async def _find_viewer(self) -> Viewer:
        scheme, _, token = (self._authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused(Unauthenticated("This door needs a token: send the header Authorization: Bearer <token>."))
        async with self.db.read() as session:
            viewer = await accounts.viewer_of(session, token.strip(), self.secret, self.clock())
        if (request := logs.current.get()) is not None:
            request.account_id, request.role = viewer.account_id, viewer.role
        if self._rates is not None:
            await self._rates.count_person(viewer, self.clock())
        return viewer


Info = strawberry.Info[Context, None]
