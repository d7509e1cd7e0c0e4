"""Who speaks to customers: the owner of a store, and beside it a brand (双 IP)."""

from typing import Any

import strawberry

from s2b2c import stores
from s2b2c.api.context import Info


@strawberry.type(description="Who speaks to customers (人设): the owner of a store, or a brand.")
class Persona:
    name: str
    avatar_url: str | None = strawberry.field(description="Of a picture; null without one.")
    story: str = strawberry.field(description="In its own words; may be empty.")


@strawberry.input(description="Who speaks to customers (人设).")
class PersonaInput:
    name: str = strawberry.field(description="1 to 60 characters.")
    avatar_url: str | None = strawberry.field(default=None, description="An address that begins with https://.")
    story: str = strawberry.field(default="", description="At most 2,000 characters.")


def persona(row: Any) -> stores.Persona | None:
    """That of a row of a store or a brand."""
    return None if row.persona is None else stores.Persona(**row.persona)


@strawberry.type
class WithPersona:
    """What a brand is, wherever it is named."""

    @strawberry.field(
        graphql_type=Persona | None,
        description="What the brand tells of itself (品牌 IP); null for nothing.",
    )
    @staticmethod
    async def persona(root: strawberry.Parent[Any], info: Info) -> stores.Persona | None:
        told = await info.context.load.personas.load(root.id)
        return None if told is None else stores.Persona(**told)
