"""Documents that finance has asked for."""

from datetime import date, datetime
from enum import Enum
from typing import Any

import strawberry

from s2b2c import files
from s2b2c.api.context import Info
from s2b2c.api.types.bulk import Progress
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.nodes import FinanceNode
from s2b2c.api.types.notices import Language


@strawberry.enum(description="A document of settlement.")
class FinanceDocument(Enum):
    STATEMENT_DETAIL = strawberry.enum_value(
        "statement_detail", description="Every line of every statement: of a run, or of runs paid in a period."
    )
    STATEMENT_SUMMARY = strawberry.enum_value(
        "statement_summary", description="A row for each statement: of a run, or of runs paid in a period."
    )
    BANK_BATCH = strawberry.enum_value(
        "bank_batch", description="What an approved run pays to bank accounts; with payees."
    )
    BRAND_PAYABLE = strawberry.enum_value(
        "brand_payable", description="What brands are owed: of a run, or of runs paid in a period."
    )
    WITHHOLDING_REPORT = strawberry.enum_value(
        "withholding_report", description="Who earned what in a quarter, and the tax withheld; with payees."
    )
    LEDGER_JOURNAL = strawberry.enum_value("ledger_journal", description="Every transfer posted in a period.")


@strawberry.enum(description="How far an export is.")
class ExportState(Enum):
    WAITING = strawberry.enum_value("waiting", description="The worker has not taken it up.")
    RUNNING = strawberry.enum_value("running", description="It is written now.")
    DONE = strawberry.enum_value("done", description="Its file can be downloaded.")
    REFUSED = strawberry.enum_value("refused", description="It cannot be written, and says why.")
    FAILED = strawberry.enum_value("failed", description="It broke on our side, and is tried again.")


@strawberry.enum(description="Of a file.")
class FileFormat(Enum):
    CSV = strawberry.enum_value("csv", description="Comma-separated values.")
    XLSX = strawberry.enum_value("xlsx", description="A workbook of Excel.")


@strawberry.enum(description="How a CSV file says its letters.")
class FileEncoding(Enum):
    UTF_8 = strawberry.enum_value("utf-8", description="With a byte order mark.")
    GB18030 = strawberry.enum_value("gb18030", description="What Excel in China takes a file without a mark for.")


@strawberry.type(description="Where a file can be downloaded by anybody who has the link, until it expires.")
class FileLink:
    url: str = strawberry.field(description="A path, with a signature: GET it without a token.")
    expires_at: datetime = strawberry.field(description="A few minutes ahead; ask again for a new one.")


def link_to(info: Info, file_id: int) -> FileLink:
    link = files.link(file_id, info.context.secret, now=info.context.clock())
    signed = f"expires={int(link.expires_at.timestamp())}&signature={link.signature}"
    return FileLink(url=f"/files/{encode('file', file_id)}?{signed}", expires_at=link.expires_at)


@strawberry.type(
    description="A document of a run or of a period, as a file. What is refused cannot be written and has a `problem`; "
    "what failed broke on our side, and is tried again a few times."
)
class FinanceExport(FinanceNode):
    id: strawberry.ID = id_of("finance-export")
    document: FinanceDocument = strawberry.field(description="Which one it is.")
    run_id: strawberry.ID | None = computed(
        lambda row: None if row.run_id is None else encode("settlement-run", row.run_id),
        description="Of what is of one run.",
    )
    starts_on: date | None = strawberry.field(description="The first day of what is of a period.")
    ends_on: date | None = strawberry.field(description="The first day that is not in it.")
    format: FileFormat = strawberry.field(description="Of the file.")
    language: Language = strawberry.field(description="Of the headings.")
    encoding: FileEncoding = strawberry.field(description="Of a CSV file.")
    with_payees: bool = strawberry.field(description="Whether it says to whom is paid, in full.")
    name: str = strawberry.field(description="Of the file.")
    state: ExportState = strawberry.field(description="How far it is.")
    progress: Progress = computed(
        lambda row: row, description="Moves while the state is RUNNING, and is empty before and after."
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
