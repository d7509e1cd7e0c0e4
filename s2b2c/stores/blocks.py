"""The decoration of a store (装修): blocks of pictures, words and products, as a versioned document.

A block holds keys of products of its store. What is stored keeps its version; reading brings it up to the newest.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

VERSION = 1
MAX_BLOCKS = 20
MAX_PRODUCTS = 20

Document = dict[str, Any]
UPGRADES: Mapping[int, Callable[[Document], Document]] = {}
"""What makes a block of one version a block of the next, by the version it is of."""


def _each_once(products: list[int]) -> list[int]:
    if len(set(products)) < len(products):
        raise ValueError("a product is named twice: name each once")
    return products


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("no calendar in UTC holds this time") from None


Url = Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://[!-~]+$")]
Title = Annotated[str, StringConstraints(min_length=1, max_length=60)]
ProductKey = Annotated[int, WithJsonSchema({"type": "string", "description": "The `id` of a product of the store."})]
Products = Annotated[list[ProductKey], Field(min_length=1, max_length=MAX_PRODUCTS), AfterValidator(_each_once)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class Banner(_Part):
    """One wide picture, which may lead to a product."""

    type: Literal["banner"] = "banner"
    image_url: Url
    title: Annotated[str, StringConstraints(max_length=60)] = ""
    product: ProductKey | None = None


class Picks(_Part):
    """Products the owner recommends."""

    type: Literal["picks"] = "picks"
    title: Title
    products: Products


class Story(_Part):
    """Words, with or without a picture."""

    type: Literal["story"] = "story"
    title: Title
    text: Annotated[str, StringConstraints(min_length=1, max_length=5000)]
    picture_url: Url | None = None


class GridItem(_Part):
    """A picture that leads to a product."""

    image_url: Url
    product: ProductKey


class Grid(_Part):
    """Pictures side by side."""

    type: Literal["grid"] = "grid"
    columns: Literal[2, 3, 4]
    items: Annotated[list[GridItem], Field(min_length=1, max_length=MAX_PRODUCTS)]


class Countdown(_Part):
    """Products with a time at which something ends."""

    type: Literal["countdown"] = "countdown"
    title: Title
    ends_at: Annotated[AwareDatetime, AfterValidator(_in_utc)]
    products: Products


Block: TypeAlias = Banner | Picks | Story | Grid | Countdown
Blocks = Annotated[list[Annotated[Block, Field(discriminator="type")]], Field(max_length=MAX_BLOCKS)]
_BLOCKS: TypeAdapter[list[Block]] = TypeAdapter(Blocks)


def read(
    stored: Sequence[Document],
    version: int,
    upgrades: Mapping[int, Callable[[Document], Document]] = UPGRADES,
) -> list[Block]:
    """What is stored in some version, as blocks of the newest one."""
    blocks = list(stored)
    while version in upgrades:
        blocks = [upgrades[version](block) for block in blocks]
        version += 1
    return _BLOCKS.validate_python(blocks)


def written(blocks: Sequence[Block]) -> list[Document]:
    """As they are stored, in VERSION."""
    return [block.model_dump(mode="json", exclude_none=True) for block in blocks]


def products(blocks: Sequence[Block]) -> Iterator[tuple[str, int]]:
    """Every product in blocks, with its path."""
    for number, block in enumerate(blocks):
        path = f"blocks[{number}].{block.type}"
        match block:
            case Banner(product=int(product)):
                yield f"{path}.product", product
            case Grid():
                for n, item in enumerate(block.items):
                    yield f"{path}.items[{n}].product", item.product
            case Picks() | Countdown():
                for n, product in enumerate(block.products):
                    yield f"{path}.products[{n}]", product


def only_with(blocks: Sequence[Block], shown: Container[int]) -> list[Block]:
    """The blocks with these products alone; one that was about products, and has none left, is left out."""
    kept: list[Block] = []
    for block in blocks:
        match block:
            case Banner(product=int(product)) if product not in shown:
                kept.append(block.model_copy(update={"product": None}))
            case Grid():
                if items := [item for item in block.items if item.product in shown]:
                    kept.append(block.model_copy(update={"items": items}))
            case Picks() | Countdown():
                if rest := [product for product in block.products if product in shown]:
                    kept.append(block.model_copy(update={"products": rest}))
            case _:
                kept.append(block)
    return kept


def schema() -> Document:
    """The JSON schema of `blocks` as the API takes them: a list of objects, each with one kind of block in it."""
    kinds = get_args(Block)
    _, found = models_json_schema([(kind, "validation") for kind in kinds], by_alias=True)
    parts: dict[str, Document] = found["$defs"]
    tags = {kind.__name__: parts[kind.__name__]["properties"].pop("type")["const"] for kind in kinds}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"Blocks, version {VERSION}",
        "type": "array",
        "maxItems": MAX_BLOCKS,
        "items": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {tag: {"$ref": f"#/$defs/{name}"}},
                    "required": [tag],
                    "additionalProperties": False,
                }
                for name, tag in tags.items()
            ]
        },
        "$defs": parts,
    }
