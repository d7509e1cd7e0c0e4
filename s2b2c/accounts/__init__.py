"""People, how they sign in, their tokens, and who is asking.

tokens      access tokens: short, signed, for one account
viewer      the account that a token stands for
sessions    refresh tokens that work once, and what ends a session
people      identities and memberships
passwords, codes, wechat    the three ways to prove who one is
limits      how often somebody may try
signing_in, invitations     the steps of each, put together
retention   what of it is kept, and for how long
"""

from s2b2c.accounts.invitations import Invited, accept, invite, remove_member
from s2b2c.accounts.limits import GUESTS, Limit, take
from s2b2c.accounts.people import person_of
from s2b2c.accounts.retention import forget
from s2b2c.accounts.sessions import SignedIn, end, refresh
from s2b2c.accounts.signing_in import (
    Caller,
    change_password,
    create_operator,
    request_code,
    with_code,
    with_password,
    with_wechat,
)
from s2b2c.accounts.tokens import MIN_SECRET_LENGTH, token_secret
from s2b2c.accounts.viewer import Viewer, account_of, guest, issue_token, viewer_of

__all__ = [
    "GUESTS",
    "MIN_SECRET_LENGTH",
    "Caller",
    "Invited",
    "Limit",
    "SignedIn",
    "Viewer",
    "accept",
    "account_of",
    "change_password",
    "create_operator",
    "end",
    "forget",
    "guest",
    "invite",
    "issue_token",
    "person_of",
    "refresh",
    "remove_member",
    "request_code",
    "take",
    "token_secret",
    "viewer_of",
    "with_code",
    "with_password",
    "with_wechat",
]
