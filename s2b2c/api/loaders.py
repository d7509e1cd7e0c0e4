"""One short property per batch read. Each batch has a session of its own; never await a loader while holding one."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from strawberry.dataloader import DataLoader

from s2b2c import (
    catalogue,
    commissions,
    customers,
    directory,
    ledger,
    models,
    network,
    orders,
    payouts,
    ranking,
    settlements,
    stores,
)
from s2b2c.db import AnyRow, Database


class Loaders:
    """The loaders of one request."""

    def __init__(self, db: Database, clock: Callable[[], datetime]) -> None:
        self._db = db
        self._clock = clock

    @cached_property
    def variants(self) -> DataLoader[tuple[int, int], Sequence[AnyRow]]:
        """By (store_id, product_id)."""

        async def load(keys: list[tuple[int, int]]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                found = await stores.variants(session, keys)
            return [found.get(key, ()) for key in keys]

        return DataLoader(load)

    @cached_property
    def listing_versions(self) -> DataLoader[stores.LifePage, Sequence[AnyRow]]:
        """By listing and page."""

        async def load(keys: list[stores.LifePage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await stores.listing_versions(session, keys))

        return DataLoader(load)

    @cached_property
    def supply_variants(self) -> DataLoader[int, Sequence[catalogue.SupplyVariant]]:
        """By product_id."""

        async def load(keys: list[int]) -> list[Sequence[catalogue.SupplyVariant]]:
            async with self._db.read() as session:
                found = await catalogue.supply_variants(session, keys)
            return [found.get(key, ()) for key in keys]

        return DataLoader(load)

    @cached_property
    def upcoming_prices(self) -> DataLoader[catalogue.PricesPage, Sequence[AnyRow]]:
        """By variant and page."""

        async def load(keys: list[catalogue.PricesPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await catalogue.upcoming_prices(session, keys))

        return DataLoader(load)

    @cached_property
    def open_revisions(self) -> DataLoader[int, catalogue.Revision | None]:
        """By product_id."""

        async def load(keys: list[int]) -> list[catalogue.Revision | None]:
            async with self._db.read() as session:
                found = await catalogue.open_revisions(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def price_history(self) -> DataLoader[catalogue.PricesPage, Sequence[AnyRow]]:
        """By variant and page."""

        async def load(keys: list[catalogue.PricesPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await catalogue.price_history(session, keys))

        return DataLoader(load)

    @cached_property
    def tiers(self) -> DataLoader[None, Sequence[AnyRow]]:
        """All, by rank."""

        async def load(keys: list[None]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return [await catalogue.tiers_by_rank(session)] * len(keys)

        return DataLoader(load)

    @cached_property
    def allotments(self) -> DataLoader[catalogue.AllotmentsPage, Sequence[catalogue.Allotment]]:
        """By variant and page."""

        async def load(keys: list[catalogue.AllotmentsPage]) -> list[Sequence[catalogue.Allotment]]:
            async with self._db.read() as session:
                return list(await catalogue.allotments(session, keys))

        return DataLoader(load)

    @cached_property
    def product_events(self) -> DataLoader[catalogue.EventsPage, Sequence[AnyRow]]:
        """By product and page."""

        async def load(keys: list[catalogue.EventsPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await catalogue.product_events(session, keys))

        return DataLoader(load)

    @cached_property
    def product_details(self) -> DataLoader[int, AnyRow]:
        """By product_id."""

        async def load(keys: list[int]) -> list[AnyRow]:
            async with self._db.read() as session:
                found = await catalogue.details(session, keys)
            return [found[key] for key in keys]

        return DataLoader(load)

    @cached_property
    def past_revisions(self) -> DataLoader[catalogue.ReviewsPage, Sequence[catalogue.Revision]]:
        """By product and page."""

        async def load(keys: list[catalogue.ReviewsPage]) -> list[Sequence[catalogue.Revision]]:
            async with self._db.read() as session:
                return await catalogue.past_revisions(session, keys)

        return DataLoader(load)

    @cached_property
    def tail_steps(self) -> DataLoader[int, Sequence[AnyRow]]:
        """By case_id."""

        async def load(keys: list[int]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                found = await ranking.steps_of(session, keys)
            return [found.get(key, ()) for key in keys]

        return DataLoader(load)

    @cached_property
    def statements(self) -> DataLoader[settlements.StatementsPage, Sequence[AnyRow]]:
        """By run, kind of payee and page."""

        async def load(keys: list[settlements.StatementsPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return await settlements.statements_of_runs(session, keys)

        return DataLoader(load)

    @cached_property
    def statement_lines(self) -> DataLoader[settlements.LinesPage, Sequence[AnyRow]]:
        """By statement and page."""

        async def load(keys: list[settlements.LinesPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return await settlements.lines(session, keys)

        return DataLoader(load)

    @cached_property
    def statement_adjustments(self) -> DataLoader[settlements.AdjustmentsPage, Sequence[AnyRow]]:
        """By statement and page."""

        async def load(keys: list[settlements.AdjustmentsPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return await settlements.adjustments_of(session, keys)

        return DataLoader(load)

    @cached_property
    def disputes(self) -> DataLoader[int, AnyRow | None]:
        """By statement_id."""

        async def load(keys: list[int]) -> list[AnyRow | None]:
            async with self._db.read() as session:
                found = await settlements.disputes_of(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def payouts(self) -> DataLoader[int, AnyRow | None]:
        """By statement_id."""

        async def load(keys: list[int]) -> list[AnyRow | None]:
            async with self._db.read() as session:
                found = await payouts.of_statements(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def payout_attempts(self) -> DataLoader[int, Sequence[AnyRow]]:
        """By payout_id."""

        async def load(keys: list[int]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                found = await payouts.attempts_of(session, keys)
            return [found.get(key, ()) for key in keys]

        return DataLoader(load)

    @cached_property
    def transfers(self) -> DataLoader[ledger.TransfersPage, Sequence[AnyRow]]:
        """By account and page."""

        async def load(keys: list[ledger.TransfersPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return await ledger.transfers(session, keys)

        return DataLoader(load)

    @cached_property
    def uplines(self) -> DataLoader[tuple[int, datetime], Sequence[network.UplineMember] | None]:
        """By (distributor_id, time)."""

        async def load(keys: list[tuple[int, datetime]]) -> list[Sequence[network.UplineMember] | None]:
            async with self._db.read() as session:
                found = await network.uplines_at(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def rules(self) -> DataLoader[directory.RulesPage, Sequence[AnyRow]]:
        """By plan and page."""

        async def load(keys: list[directory.RulesPage]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await directory.rules(session, keys))

        return DataLoader(load)

    @cached_property
    def accounts(self) -> DataLoader[int, models.Account | None]:
        """By account_id."""

        async def load(keys: list[int]) -> list[models.Account | None]:
            async with self._db.read() as session:
                found = await directory.accounts(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def explanations(self) -> DataLoader[commissions.CommissionKey, commissions.Explanation | None]:
        """By the key of a commission."""

        async def load(keys: list[commissions.CommissionKey]) -> list[commissions.Explanation | None]:
            async with self._db.read() as session:
                found = await commissions.explanations(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def offers(self) -> DataLoader[tuple[int, int, int | None], Sequence[commissions.Offer]]:
        """By (distributor_id, product_id, price or None), for one distributor: whoever is asking."""

        async def load(keys: list[tuple[int, int, int | None]]) -> list[Sequence[commissions.Offer]]:
            (distributor_id,) = {distributor_id for distributor_id, _, _ in keys}
            asked = [(product_id, price) for _, product_id, price in keys]
            async with self._db.read() as session:
                found = await commissions.quote(session, distributor_id, asked, self._clock())
            return [found.get(key, ()) for key in asked]

        return DataLoader(load)

    @cached_property
    def order_lines(self) -> DataLoader[orders.Part, Sequence[AnyRow]]:
        """By order, or a brand's part of it, and page."""

        async def load(keys: list[orders.Part]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await orders.lines(session, keys))

        return DataLoader(load)

    @cached_property
    def parcels(self) -> DataLoader[orders.Part, Sequence[AnyRow]]:
        """By order, or a brand's part of it, and page."""

        async def load(keys: list[orders.Part]) -> list[Sequence[AnyRow]]:
            async with self._db.read() as session:
                return list(await orders.parcels(session, keys))

        return DataLoader(load)

    @cached_property
    def masked_phones(self) -> DataLoader[tuple[int, int], str | None]:
        """By (distributor_id, customer_id)."""

        async def load(keys: list[tuple[int, int]]) -> list[str | None]:
            async with self._db.read() as session:
                found = await customers.masked_phones(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def touched_places(self) -> DataLoader[tuple[int, int | None], AnyRow]:
        """By (store_id, product_id or None)."""

        async def load(keys: list[tuple[int, int | None]]) -> list[AnyRow]:
            async with self._db.read() as session:
                found = await customers.touched_places(session, keys)
            return [found[key] for key in keys]

        return DataLoader(load)

    @cached_property
    def shown_listings(self) -> DataLoader[tuple[int, int], AnyRow | None]:
        """By (store_id, product_id): as somebody unknown sees them."""

        async def load(keys: list[tuple[int, int]]) -> list[AnyRow | None]:
            async with self._db.read() as session:
                found = await stores.shown(session, keys, stores.Shopper(None, None, self._clock()))
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def openings(self) -> DataLoader[int, tuple[datetime, datetime]]:
        """By store_id: when it is open next, and the time that it is now."""

        async def load(keys: list[int]) -> list[tuple[datetime, datetime]]:
            now = self._clock()
            async with self._db.read() as session:
                found = await stores.opening(session, keys, now)
            return [(found[key], now) for key in keys]

        return DataLoader(load)

    @cached_property
    def personas(self) -> DataLoader[int, Mapping[str, Any] | None]:
        """By brand_id."""

        async def load(keys: list[int]) -> list[Mapping[str, Any] | None]:
            async with self._db.read() as session:
                found = await stores.personas(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def stores_at(self) -> DataLoader[tuple[int, datetime], AnyRow | None]:
        """By (store_id, moment)."""

        async def load(keys: list[tuple[int, datetime]]) -> list[AnyRow | None]:
            async with self._db.read() as session:
                found = await stores.stores_at(session, keys)
            return [found.get(key) for key in keys]

        return DataLoader(load)
