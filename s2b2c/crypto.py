"""Personal data at rest: sealed, so that a dump of the database tells nothing, and found by a keyed fingerprint."""

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from s2b2c.config import settings, state_dir

_NONCE_BYTES = 12


class SealError(Exception):
    """What was sealed cannot be opened: its key is gone, it was changed, or it was sealed as something else."""


class Keys:
    """AES-256-GCM under the first of `data`, read under any of them; HMAC-SHA256 under `lookup`. Shows none of them."""

    def __init__(self, data: Mapping[str, bytes], lookup: bytes) -> None:
        self._ciphers = {name: AESGCM(key) for name, key in data.items()}
        self.first = next(iter(self._ciphers))
        self._lookup = lookup

    def seal(self, plain: str, kind: str) -> str:
        """`<name of the key>.<nonce and ciphertext in base64>`. It opens as the same `kind` alone."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self.first].encrypt(nonce, plain.encode(), kind.encode())
        return f"{self.first}.{base64.urlsafe_b64encode(nonce + sealed).decode('ascii')}"

    def open(self, sealed: str, kind: str) -> str:
        """What was sealed. Raises SealError."""
        name, _, body = sealed.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body)
            plain = self._ciphers[name].decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], kind.encode())
        except (KeyError, ValueError, InvalidTag):
            raise SealError("this cannot be opened with the keys in S2B2C_DATA_KEYS") from None
        return plain.decode()

    def fingerprint(self, kind: str, *values: str) -> bytes:
        """32 bytes, the same for the same values of a kind, that tell nothing without the key."""
        return hmac.digest(self._lookup, "\0".join((kind, *values)).encode(), "sha256")


def digest(token: str) -> bytes:
    """What is stored of a random token that we hand out: enough to know it again, not enough to be it."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


@cache
def keys() -> Keys:
    """The keys of the settings, else keys made once and kept in `state_dir()`."""
    given, lookup = settings().data_keys, settings().lookup_key
    named = given.get_secret_value() if given else kept("data_keys", lambda: f"first:{_new_key()}")
    return Keys(
        {name: _decoded(key) for name, _, key in (one.partition(":") for one in named.split(","))},
        _decoded(lookup.get_secret_value() if lookup else kept("lookup_key", _new_key)),
    )


def kept(name: str, make: Callable[[], str]) -> str:
    """The secret in a file of `state_dir()`, made when it is not there, readable by its owner only.

    The file is written whole or not at all: of two processes the first one's secret stays, and both read that.
    """
    path = state_dir() / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(make())
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            Path(draft).unlink()
    return path.read_text(encoding="ascii")


def _new_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii")


def _decoded(key: str) -> bytes:
    return base64.urlsafe_b64decode(key.rstrip("=").replace("+", "-").replace("/", "_") + "=")
