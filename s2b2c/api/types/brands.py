"""Brands."""

import strawberry

from s2b2c.api.types.ids import id_of
from s2b2c.api.types.personas import WithPersona


@strawberry.type(description="A supplier (品牌方), as everybody sees it.")
class Brand(WithPersona):
    id: strawberry.ID = id_of("brand")
    name: str
