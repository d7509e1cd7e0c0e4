"""The memory of requests that came with an Idempotency-Key."""

from dataclasses import dataclass
from typing import NamedTuple

from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import DAY_S

_LONGEST_KEY = 255
_KEPT_S = DAY_S


class Answer(NamedTuple):
    status: int
    body: Json
    request: str
    """The id of the request that was first answered so."""


@dataclass
class _Entry:
    path: str
    params: Json
    began: int
    answer: Answer | None = None


class Keys:
    """One account's keys are not another's. What is refused before anything is done leaves no trace here."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], _Entry] = {}

    def begin(self, account: str, key: str, path: str, params: Json, now: int) -> Answer | None:
        """The saved answer; None when there is none: the key is then in use until `end`.

        Raises 409 while another request with the key is at work, 400 when the key was used for something else.
        """
        if not 1 <= len(key) <= _LONGEST_KEY:
            told = f"An idempotency key has between 1 and {_LONGEST_KEY} characters."
            raise StripeRefusal(400, told, kind="idempotency_error")
        entry = self._entries.get((account, key))
        if entry is None or now - entry.began >= _KEPT_S:
            self._entries[account, key] = _Entry(path, params, now)
            return None
        if entry.path != path or entry.params != params:
            told = f"The key '{key}' was first used with another endpoint or with other parameters."
            raise StripeRefusal(400, told, kind="idempotency_error")
        if entry.answer is None:
            told = f"Another request with the key '{key}' is still in progress."
            raise StripeRefusal(409, told, kind="idempotency_error", code="idempotency_key_in_use")
        return entry.answer

    def end(self, account: str, key: str, answer: Answer) -> None:
        self._entries[account, key].answer = answer
