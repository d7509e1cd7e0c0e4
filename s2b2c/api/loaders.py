"""One short property per batch read. Each batch has a session of its own; never await a loader while holding one."""

from collections.abc import Sequence
from functools import cached_property

from strawberry.dataloader import DataLoader

from s2b2c import stores
from s2b2c.db import Database


class Loaders:
    """The loaders of one request."""

    def __init__(self, db: Database) -> None:
        self._db = db

    @cached_property
    def variants(self) -> DataLoader[tuple[int, int], Sequence[stores.AnyRow]]:
        """By (store_id, product_id)."""

        async def load(keys: list[tuple[int, int]]) -> list[Sequence[stores.AnyRow]]:
            async with self._db.read() as session:
                found = await stores.variants(session, keys)
            return [found.get(key, ()) for key in keys]

        return DataLoader(load)
