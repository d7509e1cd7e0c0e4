"""Where money is paid out to: the same at the doors of partners and of brands."""

from typing import Any

import strawberry

from s2b2c import models, payees, payments
from s2b2c.accounts import Viewer
from s2b2c.api.access import PayoutDoor
from s2b2c.api.context import Info
from s2b2c.api.types.payees import PayeeDetails, SetPayeeInput, SetPayeeResult
from s2b2c.api.types.payments import OnboardPayoutsResult, PayoutAccount, PayoutsOnboarding, check_url
from s2b2c.db import AnyRow


@strawberry.type
class PaidOut:
    """The field of a door whose viewer is paid out."""

    @strawberry.field(graphql_type=PayoutAccount | None, description="Null until you begin to tell Stripe who you are.")
    @staticmethod
    async def payout_account(root: strawberry.Parent[Viewer], info: Info) -> models.StripeAccount | None:
        async with info.context.db.read() as session:
            return await payments.account_of(session, brand_id=root.brand_id, distributor_id=root.distributor_id)

    @strawberry.field(
        graphql_type=PayeeDetails | None, description="To whom your money goes (收款人); null until you say so."
    )
    @staticmethod
    async def payee(root: strawberry.Parent[Viewer], info: Info) -> AnyRow | None:
        async with info.context.db.read() as session:
            return await payees.payee_of(session, brand_id=root.brand_id, distributor_id=root.distributor_id)


@strawberry.type
class PayoutMutation:
    @strawberry.mutation(
        permission_classes=[PayoutDoor],
        graphql_type=OnboardPayoutsResult,
        description="Tell Stripe who you are, so that you can be paid out. Stripe sends you back to `returnUrl`, or to "
        "`refreshUrl` when its address was used up: ask for another one there.",
    )
    async def onboard_payouts(self, info: Info, return_url: str, refresh_url: str) -> PayoutsOnboarding:
        check_url("returnUrl", return_url)
        check_url("refreshUrl", refresh_url)
        viewer = await info.context.payee()
        with info.context.stripe() as gateway:
            url = await payments.onboard(
                info.context.db,
                gateway,
                brand_id=viewer.brand_id,
                distributor_id=viewer.distributor_id,
                return_url=return_url,
                refresh_url=refresh_url,
            )
        return PayoutsOnboarding(url=url)

    @strawberry.mutation(
        permission_classes=[PayoutDoor],
        graphql_type=SetPayeeResult,
        description="Say to whom your money goes (收款人), in place of whom it went to before.",
    )
    async def set_payee(self, info: Info, input: SetPayeeInput) -> Any:  # noqa: A002  the argument's name
        viewer = await info.context.payee()
        async with info.context.db.write() as session:
            return await payees.set_payee(
                session,
                payees.PayeeDetails(input.legal_name, input.identity_number, input.bank_name, input.bank_account),
                brand_id=viewer.brand_id,
                distributor_id=viewer.distributor_id,
                account_id=viewer.account_id,
                now=info.context.clock(),
            )
