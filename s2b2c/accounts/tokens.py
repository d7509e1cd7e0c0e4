"""Access tokens: short, signed, and for one account. Keys rotate: the first signs, all verify."""

import json
import secrets
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey, OKPKey
from joserfc.jws import JWSRegistry

from s2b2c import crypto
from s2b2c.config import settings
from s2b2c.errors import Refused, Unauthenticated

ISSUER = "s2b2c"
MIN_SECRET_LENGTH = 32
MAX_TOKEN_LENGTH = 4096
_REGISTRY = JWSRegistry(algorithms=["HS256", "Ed25519"])


class Claims(NamedTuple):
    """What a token says: its account, and the session it came from, or that its holder is a guest."""

    account_id: int
    session_id: int | None = None
    is_guest: bool = False


class _Signing(NamedTuple):
    """How tokens are signed; as its keys it shows their names at most."""

    header: dict[str, str | None]
    signer: OctKey | OKPKey
    verifiers: KeySet


def signed(claims: Claims, secret: str, *, now: datetime, lifetime: timedelta) -> str:
    """The token. `secret` is what `token_secret` gives."""
    signing, issued = _signing(secret), int(now.timestamp())
    said = {
        "iss": ISSUER,
        "sub": str(claims.account_id),
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
        **({} if claims.session_id is None else {"sid": str(claims.session_id)}),
        **({"guest": True} if claims.is_guest else {}),
    }
    return jwt.encode(dict(signing.header), said, signing.signer, registry=_REGISTRY)


def claims_of(token: str, secret: str, now: datetime) -> Claims:
    """What a token of ours says that has not expired. The caller's clock decides; when it was issued does not, since
    the clock of the server that issued it may be ahead. Raises Refused(Unauthenticated)."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise _not_ours()
    try:
        said = jwt.decode(token, _signing(secret).verifiers, registry=_REGISTRY).claims
        if said["iss"] != ISSUER:
            raise _not_ours()
        int(said["iat"])
        session_id, expires = said.get("sid"), int(said["exp"])
        claims = Claims(int(said["sub"]), None if session_id is None else int(session_id), "guest" in said)
    except (JoseError, KeyError, ValueError, TypeError, OverflowError):
        raise _not_ours() from None
    if now.timestamp() >= expires:
        raise Refused(Unauthenticated("The token has expired: refresh your session, or sign in again."))
    return claims


def _not_ours() -> Refused:
    return Refused(Unauthenticated("The token was not issued here: sign in, or get one with `s2b2c token`."))


def token_secret() -> str:
    """What signs and verifies tokens: the setting, or a random secret made once and kept.

    Raises ValueError when the setting is too short to be a secret, or a key set that cannot sign.
    """
    if given := settings().token_secret:
        secret = given.get_secret_value()
        _signing(secret)
        return secret
    return crypto.kept("token_secret", lambda: secrets.token_urlsafe(32))


@lru_cache(maxsize=8)
def _signing(secret: str) -> _Signing:
    if not secret.startswith("{"):
        if len(secret) < MIN_SECRET_LENGTH:
            raise ValueError(f"S2B2C_TOKEN_SECRET must have at least {MIN_SECRET_LENGTH} characters")
        only = OctKey.import_key(secret, {"kid": "secret"})
        return _Signing({"alg": "HS256", "kid": "secret"}, only, KeySet([only]))
    try:
        verifiers = KeySet.import_key_set(json.loads(secret))
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("S2B2C_TOKEN_SECRET must be a secret or a JSON Web Key Set") from None
    good = [key for key in verifiers if isinstance(key, OctKey | OKPKey) and _is_good(key)]
    if len(good) != len(verifiers.keys):
        raise ValueError(
            f"S2B2C_TOKEN_SECRET: every key must be an Ed25519 key, or have {MIN_SECRET_LENGTH} bytes or more"
        )
    signer = good[0]
    if not signer.is_private:
        raise ValueError("S2B2C_TOKEN_SECRET: the first key must be able to sign")
    return _Signing({"alg": "HS256" if isinstance(signer, OctKey) else "Ed25519", "kid": signer.kid}, signer, verifiers)


def _is_good(key: OctKey | OKPKey) -> bool:
    return key.curve_name == "Ed25519" if isinstance(key, OKPKey) else len(key.raw_value) >= MIN_SECRET_LENGTH
