"""Reports of what stores sold, as files."""

from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c.api.context import Info
from s2b2c.api.types.bulk import Progress
from s2b2c.api.types.fields import computed
from s2b2c.api.types.finance_exports import ExportState, FileEncoding, FileFormat, FileLink, link_to
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.nodes import BrandNode, OperatorNode
from s2b2c.api.types.notices import Language


@strawberry.enum(description="What a report of sales has a row for.")
class SalesReport(Enum):
    STORES = strawberry.enum_value("stores", description="Each store (单店产值), with its cohort.")
    REGIONS = strawberry.enum_value("regions", description="Each region of stores.")
    TIERS = strawberry.enum_value("tiers", description="Each tier of owners.")
    PRODUCTS = strawberry.enum_value("products", description="Each product.")
    DAYS = strawberry.enum_value("days", description="Each day.")
    WEEKS = strawberry.enum_value("weeks", description="Each week, from Monday.")
    MONTHS = strawberry.enum_value("months", description="Each month.")
    DISTRIBUTION = strawberry.enum_value("distribution", description="Each tenth of the stores, by output.")
    SELL_THROUGH = strawberry.enum_value("sell-through", description="Each store that listed something (动销率).")
    NEVER_SOLD = strawberry.enum_value("never-sold", description="Each listing that sold nothing that was kept.")


def _id(kind: str, column: str, what: str) -> Any:
    def read(row: Any) -> str | None:
        key = getattr(row, column)
        return None if key is None else encode(kind, key)

    return computed(read, description=f"The {what} that was chosen; null for all.")


@strawberry.type(
    description="A report of what stores sold, as a file. What is refused cannot be written and has a `problem`; what "
    "failed broke on our side, and is tried again a few times."
)
class SalesExport(BrandNode, OperatorNode):
    id: strawberry.ID = id_of("sales-export")
    report: SalesReport = strawberry.field(description="Which one it is.")
    starts_on: date = strawberry.field(description="The first day.")
    ends_on: date = strawberry.field(description="The first day that is not in it.")
    brand_id: strawberry.ID | None = _id("brand", "brand_id", "brand")
    product_id: strawberry.ID | None = _id("product", "product_id", "product")
    store_id: strawberry.ID | None = _id("store", "store_id", "store")
    region: str | None = strawberry.field(description="The region of stores that was chosen; null for all.")
    tier_id: strawberry.ID | None = _id("tier", "tier_id", "tier of owners")
    format: FileFormat = strawberry.field(description="Of the file.")
    language: Language = strawberry.field(description="Of the headings.")
    encoding: FileEncoding = strawberry.field(description="Of a CSV file.")
    name: str = strawberry.field(description="Of the file.")
    state: ExportState = strawberry.field(description="How far it is.")
    progress: Progress = computed(
        lambda row: row, description="Moves while the state is RUNNING; `total` is what is known of by then."
    )
    rows: Int64 = strawberry.field(description="Without headings and foot; 0 until it is done.")
    sha256: str | None = strawberry.field(description="Of the file, in hexadecimal; null until it is done.")
    problem: str | None = strawberry.field(description="Why it cannot be written; null where it can.")
    created_at: datetime
    started_at: datetime | None = strawberry.field(description="When the worker took it up; null while it waits.")
    finished_at: datetime | None = strawberry.field(description="Null until it is done or refused.")

    @strawberry.field(
        graphql_type=FileLink | None,
        description="A new link each time; null until it is done, and when it is not kept any more.",
    )
    @staticmethod
    def download(root: strawberry.Parent[Any], info: Info) -> FileLink | None:
        return None if root.file_id is None else link_to(info, root.file_id)
