"""Signing in and out, for everybody."""

from datetime import timedelta
from typing import Annotated

import strawberry

from s2b2c import accounts, errors
from s2b2c.accounts.codes import LIFETIME
from s2b2c.api import access
from s2b2c.api.context import Info
from s2b2c.api.types.errors import (
    BadArgument,
    NotFound,
    SignInOff,
    TooManyRequests,
    WrongCredentials,
    WrongState,
)
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.sign_in import (
    CodeSent,
    Invited,
    InviteInput,
    MemberRemoved,
    PasswordChanged,
    Role,
    SignedIn,
    SignedOut,
)
from s2b2c.errors import Refusal, Refused


@strawberry.type
class SignInMutation:
    @strawberry.mutation(
        permission_classes=[access.Shopper],
        graphql_type=Annotated[
            CodeSent | BadArgument | TooManyRequests | SignInOff, strawberry.union("RequestCodeResult")
        ],
        description="Have a one-time code sent to a phone.",
    )
    async def request_code(self, info: Info, phone: str) -> CodeSent:
        await accounts.request_code(info.context.db, phone, caller_of(info))
        return CodeSent(expires_in_s=LIFETIME // timedelta(seconds=1))

    @strawberry.mutation(
        permission_classes=[access.Shopper],
        graphql_type=Annotated[
            SignedIn | WrongCredentials | BadArgument | TooManyRequests | NotFound | WrongState,
            strawberry.union("SignInWithCodeResult"),
        ],
        description="Sign in with the code that was sent to your phone; who is new becomes a customer. With a guest's "
        "token you are the customer that the guest was, if you are none yet.",
    )
    async def sign_in_with_code(
        self,
        info: Info,
        phone: str,
        code: str,
        membership: strawberry.ID | None = None,
        guest_token: str | None = None,
    ) -> accounts.SignedIn | Refusal:
        caller = caller_of(info, membership, guest_token)
        return await accounts.with_code(info.context.db, phone, code, caller)

    @strawberry.mutation(
        permission_classes=[access.Shopper],
        graphql_type=Annotated[
            SignedIn | WrongCredentials | BadArgument | TooManyRequests | NotFound | WrongState,
            strawberry.union("SignInWithPasswordResult"),
        ],
        description="Sign in with phone and password, as staff does.",
    )
    async def sign_in_with_password(
        self, info: Info, phone: str, password: str, membership: strawberry.ID | None = None
    ) -> accounts.SignedIn:
        return await accounts.with_password(info.context.db, phone, password, caller_of(info, membership))

    @strawberry.mutation(
        permission_classes=[access.Shopper],
        graphql_type=Annotated[
            SignedIn | WrongCredentials | TooManyRequests | SignInOff | NotFound | WrongState | BadArgument,
            strawberry.union("SignInWithWechatResult"),
        ],
        description="Sign in with a code of wx.login() in the mini-app (微信登录); who is new becomes a customer. With "
        "a guest's token you are the customer that the guest was, if you are none yet.",
    )
    async def sign_in_with_wechat(
        self, info: Info, code: str, membership: strawberry.ID | None = None, guest_token: str | None = None
    ) -> accounts.SignedIn:
        return await accounts.with_wechat(info.context.db, code, caller_of(info, membership, guest_token))

    @strawberry.mutation(
        permission_classes=[access.Shopper],
        graphql_type=Annotated[
            SignedIn | WrongCredentials | NotFound | BadArgument, strawberry.union("RefreshSessionResult")
        ],
        description="Go on with a session: new tokens for an old refresh token, for another membership where you "
        "choose one. A refresh token that comes a second time ends the session for whoever holds any of its tokens.",
    )
    async def refresh_session(
        self, info: Info, refresh_token: str, membership: strawberry.ID | None = None
    ) -> accounts.SignedIn | Refusal:
        caller = caller_of(info, membership)
        async with info.context.db.write() as session:
            return await accounts.refresh(
                session, refresh_token, account_id=caller.account_id, secret=caller.secret, now=caller.now
            )

    @strawberry.mutation(permission_classes=[access.SignedIn], description="End your session, or all that you have.")
    async def sign_out(self, info: Info, everywhere: bool = False) -> SignedOut:  # noqa: FBT001, FBT002  the argument's name
        viewer, now = await info.context.viewer(), info.context.clock()
        whose = {"person_id": viewer.person_id} if everywhere else {"session_id": viewer.session_id}
        async with info.context.db.write() as session:
            return SignedOut(sessions=await accounts.end(session, now, "signed_out", **whose))

    @strawberry.mutation(
        permission_classes=[access.SignedIn],
        graphql_type=Annotated[
            PasswordChanged | WrongCredentials | BadArgument | TooManyRequests,
            strawberry.union("ChangePasswordResult"),
        ],
        description="Have another password; your other sessions end.",
    )
    async def change_password(self, info: Info, old: str, new: str) -> PasswordChanged:
        viewer, caller = await info.context.viewer(), caller_of(info)
        assert viewer.person_id is not None
        assert viewer.session_id is not None
        await accounts.change_password(info.context.db, viewer.person_id, viewer.session_id, old, new, caller)
        return PasswordChanged(at=caller.now)

    @strawberry.mutation(
        permission_classes=[access.InviteDoor],
        graphql_type=Annotated[Invited | BadArgument | NotFound | TooManyRequests, strawberry.union("InviteResult")],
        description="Invite whoever has this phone to a role. Nothing is sent: hand the token on.",
    )
    async def invite(self, info: Info, input: InviteInput) -> accounts.Invited:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        if input.role is Role.CUSTOMER:
            raise Refused(errors.BadArgument("Nobody is invited to be a customer: customers just come."))
        brand_id = None if input.brand is None else key_of("brand", input.brand)
        distributor_id = None if input.distributor is None else key_of("distributor", input.distributor)
        async with info.context.db.write() as session:
            return await accounts.invite(
                session,
                viewer,
                input.phone,
                role=input.role.value,
                brand_id=brand_id,
                distributor_id=distributor_id,
                now=info.context.clock(),
            )

    @strawberry.mutation(
        permission_classes=[access.InviteDoor],
        graphql_type=Annotated[MemberRemoved | BadArgument | NotFound, strawberry.union("RemoveMemberResult")],
        description="Take a role from whoever has this phone: its sessions as that end at once. A brand does so with "
        "its own staff.",
    )
    async def remove_member(self, info: Info, input: InviteInput) -> MemberRemoved:  # noqa: A002  the argument's name
        viewer = await info.context.viewer()
        if input.role is Role.CUSTOMER:
            raise Refused(errors.BadArgument("A customer is removed by itself alone: see eraseMe."))
        async with info.context.db.write() as session:
            ended = await accounts.remove_member(
                session,
                viewer,
                input.phone,
                role=input.role.value,
                brand_id=None if input.brand is None else key_of("brand", input.brand),
                distributor_id=None if input.distributor is None else key_of("distributor", input.distributor),
                now=info.context.clock(),
            )
        return MemberRemoved(sessions=ended)

    @strawberry.mutation(
        permission_classes=[access.Shopper],
        graphql_type=Annotated[
            SignedIn | WrongCredentials | BadArgument | TooManyRequests | NotFound | WrongState,
            strawberry.union("AcceptInvitationResult"),
        ],
        description="Join what you are invited to, with the code that requestCode has sent to the invited phone. Staff "
        "says its password, or the one it wants to have if it has none; one that is forgotten is replaced where an "
        "operator invites.",
    )
    async def accept_invitation(
        self, info: Info, invitation: str, phone: str, code: str, password: str | None = None
    ) -> accounts.SignedIn | Refusal:
        return await accounts.accept(info.context.db, invitation, phone, code, password, caller_of(info))


def caller_of(info: Info, membership: strawberry.ID | None = None, guest_token: str | None = None) -> accounts.Caller:
    """Raises Refused(BadArgument) for what is no membership."""
    account_id = None if membership is None else key_of("membership", membership)
    context = info.context
    return accounts.Caller(context.address, context.clock(), context.secret, account_id, guest_token)
