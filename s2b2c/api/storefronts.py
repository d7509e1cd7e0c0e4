"""The look of stores at the doors of distributors, brands and the operator: editing, what was before, copying."""

import json
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import strawberry

from s2b2c import directory, models, stores
from s2b2c.accounts import Viewer
from s2b2c.api.access import BrandDoor, OperatorDoor, PartnerDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.blocks import given
from s2b2c.api.types.errors import AlreadyTaken, BadArgument, NotFound, WrongState
from s2b2c.api.types.ids import key_of, keys_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.network import FullStoreThen, StoreInUse, moment
from s2b2c.api.types.nodes import only
from s2b2c.api.types.personas import Persona, PersonaInput
from s2b2c.api.types.selection import OwnStore
from s2b2c.api.types.storefronts import (
    BlockSchema,
    CreateStoreInput,
    SetupCopied,
    StorePart,
    StoresCopied,
    UpdateStoreInput,
)
from s2b2c.api.types.stores import Store
from s2b2c.db import AnyRow
from s2b2c.stores import blocks, copy_store


@strawberry.type
class ModelStores:
    """What the door of distributors shows of stores to learn from."""

    @strawberry.field(
        graphql_type=Connection[Store],
        description="Stores that you may copy (标杆店), the first one first; `adoptSetup` does.",
    )
    @staticmethod
    async def model_stores(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        await info.context.distributor_id()
        page = Page("model-store", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await stores.model_stores(session, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(description="How the blocks of a store are written, for whoever makes an editor.")
    @staticmethod
    def block_schema() -> BlockSchema:
        return BlockSchema(version=Int64(blocks.VERSION), json=json.dumps(blocks.schema(), ensure_ascii=False))


@strawberry.type
class BrandPersona:
    """What the door of brands shows of a brand's own persona."""

    @strawberry.field(graphql_type=Persona | None, description="What you tell of yourself (品牌 IP); null for nothing.")
    @staticmethod
    async def persona(root: strawberry.Parent[Viewer], info: Info) -> stores.Persona | None:
        assert root.brand_id is not None, "a brand's account has a brand"
        told = await info.context.load.personas.load(root.brand_id)
        return None if told is None else stores.Persona(**told)


@strawberry.type
class StoreRecords:
    """What the operator sees of what stores were."""

    @strawberry.field(
        graphql_type=FullStoreThen | None,
        description="What a store showed at a moment, or shows now, and why; null when there was none. What is on its "
        "shelf has a history of its own.",
    )
    @staticmethod
    async def store_at(info: Info, slug: str, at: datetime | None = None) -> AnyRow | None:
        then = info.context.clock() if at is None else moment(at)
        async with info.context.db.read() as session:
            return await stores.store_at(session, slug, then)


@strawberry.type(description="What a brand tells of itself now.")
class PersonaSet:
    persona: stores.Persona | None = strawberry.field(graphql_type=Persona | None, description="Null for nothing.")


@strawberry.type
class StorefrontMutation:
    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=Annotated[
            OwnStore | AlreadyTaken | WrongState | BadArgument, strawberry.union("CreateStoreResult")
        ],
        description="Open a store (开店) of yours, empty: choose what it sells, or copy a model store. At most 20.",
    )
    async def create_store(self, info: Info, input: CreateStoreInput) -> models.Store:  # noqa: A002  the argument's name
        viewer, distributor_id = await info.context.viewer(), await info.context.distributor_id()
        async with info.context.db.write() as session:
            return await stores.create_store(
                session,
                strawberry.asdict(input),
                distributor_id=distributor_id,
                account_id=viewer.account_id,
                now=info.context.clock(),
            )

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=Annotated[OwnStore | NotFound | WrongState | BadArgument, strawberry.union("UpdateStoreResult")],
        description="Change the look, the words or the hours of a store: all that is sent, or nothing. A refusal "
        "names the place, like `blocks[2].grid.items[0].imageUrl`.",
    )
    async def update_store(self, info: Info, store: strawberry.ID, input: UpdateStoreInput) -> models.Store:  # noqa: A002  the argument's name
        store_id, changes = key_of("store", store), given(input)
        viewer, distributor_id = await info.context.viewer(), await info.context.distributor_id()
        async with info.context.db.write() as session:
            return await stores.update_store(
                session,
                store_id,
                changes,
                distributor_id=distributor_id,
                account_id=viewer.account_id,
                now=info.context.clock(),
            )

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=Annotated[SetupCopied | NotFound | WrongState | BadArgument, strawberry.union("AdoptSetupResult")],
        description="Make a store of yours like a model store, or like another store of yours, in these parts. What it "
        "lists already stays; your words are kept, the model's come along with `includeWords`.",
    )
    async def adopt_setup(
        self,
        info: Info,
        slug: str,
        store: strawberry.ID,
        parts: list[StorePart],
        include_words: bool = False,  # noqa: FBT001, FBT002  passed by name by the library
    ) -> stores.Copied:
        store_id = key_of("store", store)
        viewer, distributor_id = await info.context.viewer(), await info.context.distributor_id()
        async with info.context.db.write() as session:
            return await stores.adopt_setup(
                session,
                slug,
                store_id,
                {part.value for part in parts},
                distributor_id=distributor_id,
                account_id=viewer.account_id,
                now=info.context.clock(),
                include_words=include_words,
            )

    @strawberry.mutation(
        permission_classes=[BrandDoor],
        graphql_type=Annotated[PersonaSet | BadArgument, strawberry.union("SetPersonaResult")],
        description="Tell customers who you are (品牌 IP), beside the owner of each store; null for nothing.",
    )
    async def set_persona(self, info: Info, persona: PersonaInput | None = None) -> PersonaSet:
        brand_id = await info.context.brand_id()
        async with info.context.db.write() as session:
            told = None if persona is None else given(persona)
            return PersonaSet(persona=await stores.set_persona(session, brand_id, told))

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[
            StoreInUse | NotFound | WrongState | BadArgument, strawberry.union("MarkModelStoreResult")
        ],
        description="Let others copy a store (标杆店), or with `isModel: false` not any more.",
    )
    async def mark_model_store(
        self,
        info: Info,
        store: strawberry.ID,
        is_model: bool = True,  # noqa: FBT001, FBT002  passed by name by the library
    ) -> AnyRow:
        store_id = key_of("store", store)
        async with info.context.db.write() as session:
            await stores.mark_model(session, store_id, is_model=is_model)
            row: AnyRow = await only(partial(directory.stores, session, search=None), (store_id,), step=1)
            return row

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=Annotated[StoresCopied | NotFound | WrongState | BadArgument, strawberry.union("CopyStoreResult")],
        description="Make 1 to 500 stores like a model store in these parts (标杆复制). What they list already stays, "
        "and so do titles and personas; the model's words come along with `includeWords`. Owners are told.",
    )
    async def copy_store(
        self,
        info: Info,
        model: strawberry.ID,
        stores: list[strawberry.ID],
        parts: list[StorePart],
        include_words: bool = False,  # noqa: FBT001, FBT002  passed by name by the library
    ) -> StoresCopied:
        model_id, store_ids = key_of("store", model), keys_of("store", stores)
        viewer = await info.context.viewer()
        async with info.context.db.write() as session:
            return StoresCopied(
                results=await copy_store(
                    session,
                    model_id,
                    store_ids,
                    {part.value for part in parts},
                    account_id=viewer.account_id,
                    now=info.context.clock(),
                    include_words=include_words,
                )
            )
