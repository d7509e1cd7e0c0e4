"""Documents that finance, brands and the platform have asked for, and the functions that format their cells."""

from datetime import date, datetime

from sqlalchemy import DDL, CheckConstraint, ForeignKey, Index, event, func, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

DOCUMENTS = (
    *("statement_detail", "statement_summary", "bank_batch"),
    *("brand_payable", "withholding_report", "ledger_journal"),
)


class FinanceExport(Base):
    """A document of a settlement run, or of the days from `starts_on` up to `ends_on`; the worker writes it.

    One that is refused cannot be written, and says why; one that failed broke on our side, and is tried again a few
    times.
    """

    __tablename__ = "finance_exports"
    __table_args__ = (
        one_of("document", *DOCUMENTS),
        one_of("format", "csv", "xlsx"),
        one_of("language", "zh", "en"),
        one_of("encoding", "utf-8", "gb18030"),
        one_of("state", "waiting", "running", "done", "refused", "failed"),
        CheckConstraint(
            "(run_id IS NULL) = (starts_on IS NOT NULL) AND (starts_on IS NULL) = (ends_on IS NULL)", name="scope"
        ),
        CheckConstraint("(state IN ('done', 'refused')) = (finished_at IS NOT NULL)", name="finished_at"),
        CheckConstraint("(state = 'refused') = (problem IS NOT NULL)", name="problem"),
        CheckConstraint("0 <= done AND done <= total", name="done"),
        Index(None, "file_id"),
    )

    id: Mapped[int] = key("finance_exports")
    document: Mapped[str]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("settlement_runs.id"))
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    """The first day that is not in it."""
    format: Mapped[str]
    language: Mapped[str]
    """Of the headings."""
    encoding: Mapped[str]
    with_payees: Mapped[bool]
    """Whether it holds to whom is paid, in full."""
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who asked for it."""
    name: Mapped[str]
    """Of the file."""
    file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    step: Mapped[str] = mapped_column(server_default=text("''"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    """Of the step at work, out of `total`."""
    total: Mapped[int] = mapped_column(server_default=text("0"))
    rows: Mapped[int] = mapped_column(server_default=text("0"))
    sha256: Mapped[str | None]
    problem: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


SALES_REPORTS = (
    *("stores", "regions", "tiers", "products", "days", "weeks", "months"),
    *("distribution", "sell-through", "never-sold"),
)


class SalesExport(Base):
    """A report of what stores sold from `starts_on` up to `ends_on`, as `output.Scope` says; the worker writes it.

    Its state as that of a `FinanceExport`. Only who has asked for it sees it.
    """

    __tablename__ = "sales_exports"
    __table_args__ = (
        one_of("report", *SALES_REPORTS),
        one_of("format", "csv", "xlsx"),
        one_of("language", "zh", "en"),
        one_of("encoding", "utf-8", "gb18030"),
        one_of("state", "waiting", "running", "done", "refused", "failed"),
        CheckConstraint("starts_on < ends_on", name="ends_on"),
        CheckConstraint("(state IN ('done', 'refused')) = (finished_at IS NOT NULL)", name="finished_at"),
        CheckConstraint("(state = 'refused') = (problem IS NOT NULL)", name="problem"),
        CheckConstraint("0 <= done AND done <= total", name="done"),
        Index(None, "account_id", "id"),
        Index(None, "file_id"),
    )

    id: Mapped[int] = key("sales_exports")
    report: Mapped[str]
    starts_on: Mapped[date]
    ends_on: Mapped[date]
    """The first day that is not in it."""
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    """Whose products; those of all where it is NULL, as with what follows."""
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    store_id: Mapped[int | None] = mapped_column(ForeignKey("stores.id"))
    region: Mapped[str | None]
    tier_id: Mapped[int | None] = mapped_column(ForeignKey("tiers.id"))
    format: Mapped[str]
    language: Mapped[str]
    """Of the headings."""
    encoding: Mapped[str]
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str]
    """Of the file."""
    file_id: Mapped[int | None] = mapped_column(ForeignKey("files.id", ondelete="SET NULL"))
    state: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    step: Mapped[str] = mapped_column(server_default=text("''"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    """Of the step at work, out of `total`."""
    total: Mapped[int] = mapped_column(server_default=text("0"))
    rows: Mapped[int] = mapped_column(server_default=text("0"))
    sha256: Mapped[str | None]
    problem: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


YUAN = """
    CREATE FUNCTION yuan(amount bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN amount < 0 THEN '-' ELSE '' END || (abs(amount) / 100)::text || '.'
        || lpad((abs(amount) %% 100)::text, 2, '0')
"""
"""What `money.format_yuan` says, for documents that PostgreSQL writes."""

_BEFORE = r""" \u00a0\u3000\u200b\ufeff"\'＂＇‘’“”"""
_STARTS = r"=+@|%%\t\r\n＝＋－＠｜％"
SAFE_CELL = rf"""
    CREATE FUNCTION safe_cell(value text, guarded boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN guarded AND strpos(E'-{_STARTS}{_BEFORE}' COLLATE "C", left(value, 1)) > 0
                     AND value COLLATE "C" ~ E'^[{_BEFORE}]*[{_STARTS}-]'
                THEN '''' || value ELSE value END
"""
"""What `exports.cells.not_a_formula` makes of a text, where it is guarded at all."""

for _function in (YUAN, SAFE_CELL):
    event.listen(FinanceExport.__table__, "after_create", DDL(_function))  # type: ignore[no-untyped-call]
