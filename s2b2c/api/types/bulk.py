"""Bulk edits: a catalogue out as a file, and in again."""

from datetime import datetime
from enum import Enum

import strawberry

from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.nodes import BrandNode


@strawberry.enum(description="How far an import or an export is.")
class BulkRunState(Enum):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


@strawberry.type(description="How far the step at work is.")
class Progress:
    step: str = strawberry.field(description="What is done now, in English; empty before the first step.")
    done: Int64 = strawberry.field(description="Of it, out of `total`: bytes of the file, rows or checks.")
    total: Int64 = strawberry.field(description="How much there is to do.")


def _path_of(file_id: int | None) -> str | None:
    return None if file_id is None else f"/files/{encode('file', file_id)}"


@strawberry.type(
    description="A catalogue that is imported from a file: all or nothing. What is refused has an `errorReport`, what "
    "failed broke on our side, and is tried again a few times."
)
class ImportRun(BrandNode):
    id: strawberry.ID = id_of("import")
    name: str = strawberry.field(description="Of the file.")
    state: BulkRunState
    is_dry_run: bool = strawberry.field(description="Whether the file is only checked.")
    progress: Progress = computed(
        lambda row: row, description="Moves while the state is RUNNING, and is empty before and after."
    )
    rows: Int64 = strawberry.field(description="Of the file; 0 until it is done.")
    inserted: Int64 = strawberry.field(description="Rows of the catalogue that are new.")
    updated: Int64 = strawberry.field(description="Rows of the catalogue that changed, and listings with them.")
    warnings: Int64 = strawberry.field(description="What stands in the report and does not keep the file out.")
    problems: Int64 = strawberry.field(description="What keeps the file out.")
    error_report: str | None = computed(
        lambda row: _path_of(row.report_file_id),
        description="Where the problems can be downloaded as CSV, by line and column, with a token as everything here; "
        "null where there are none, and when it is not kept any more.",
    )
    created_at: datetime
    started_at: datetime | None = strawberry.field(description="When the worker took it up; null while it waits.")
    finished_at: datetime | None = strawberry.field(description="Null until it is done or refused.")


@strawberry.type(description="A catalogue that is written into a file which can be imported again.")
class ExportRun(BrandNode):
    id: strawberry.ID = id_of("export")
    name: str = strawberry.field(description="Of the file.")
    state: BulkRunState
    with_stock: bool = strawberry.field(description="Whether the file says how many units are left.")
    progress: Progress = computed(
        lambda row: row, description="Moves while the state is RUNNING, and is empty before and after."
    )
    rows: Int64 = strawberry.field(description="Of the file; 0 until it is done.")
    file: str | None = computed(
        lambda row: _path_of(row.file_id),
        description="Where it can be downloaded, with a token as everything here; null until it is done, and when it "
        "is not kept any more.",
    )
    created_at: datetime
    started_at: datetime | None = strawberry.field(description="When the worker took it up; null while it waits.")
    finished_at: datetime | None = strawberry.field(description="Null until it is done.")
