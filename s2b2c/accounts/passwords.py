"""Passwords of staff: argon2id, off the loop, a few at a time."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from s2b2c.errors import BadArgument, Refused

MIN_LENGTH = 10
MAX_LENGTH = 128

_HASHER = PasswordHash((Argon2Hasher(),))
_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$3G8vlk2bEcVwQS1rBDnB9A$KBbeKkA3G0JsNdTCnMrbSxL2b7Q6BJU1tP8cJrD8Xn8"
"""Nobody knows what it is of. Checked where there is no password, so that time does not tell that there is none."""
# Each takes 64 MiB: whoever tries a thousand at once waits, and does not fill the memory.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="passwords")


def check(password: str) -> None:
    """Raises Refused(BadArgument) for what cannot become a password."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH or not password.isprintable():
        raise Refused(BadArgument(f"A password must have {MIN_LENGTH} to {MAX_LENGTH} printable characters."))
    if len(set(password)) < 4:
        raise Refused(BadArgument("This password is one character again and again: choose another one."))


async def hashed(password: str) -> str:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, _HASHER.hash, password)


async def matches(password: str, password_hash: str | None) -> bool:
    """Whether it is the password of this hash; with no hash it takes as long, and is not."""
    typed = password if len(password) <= MAX_LENGTH and password.isprintable() else ""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, _HASHER.verify, typed, password_hash or _NOBODYS)
