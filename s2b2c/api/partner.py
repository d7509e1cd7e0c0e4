"""The door of distributors and group leaders: their own stores, what they may choose, what they earn."""

import strawberry

from s2b2c.api.notices import Told


@strawberry.type(description="What a distributor sees of its own.")
class PartnerQuery(Told):
    name: str
