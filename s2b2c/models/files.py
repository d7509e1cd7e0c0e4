"""What people upload and download, and what they have done with it: files, and bulk edits by them."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

OF_FINANCE = ("finance_export", "payout_proof", "rail_report")
"""Kinds of files that belong to no brand; one of "sales_export" belongs to the brand that asked for it, if one did."""


class File(Base):
    """A file of a brand, or of finance, whose bytes are an object of the store. Until it is whole it has no size and no
    SHA-256."""

    __tablename__ = "files"
    __table_args__ = (
        UniqueConstraint("id", "brand_id"),
        one_of("kind", "catalogue", "catalogue_export", "import_report", *OF_FINANCE, "sales_export"),
        CheckConstraint(
            f"kind = 'sales_export' OR (brand_id IS NULL) = (kind IN ({', '.join(map(repr, OF_FINANCE))}))",
            name="brand",
        ),
        CheckConstraint("num_nulls(size, sha256) IN (0, 2)", name="whole"),
        Index(None, "created_at"),
    )

    id: Mapped[int] = key("files")
    kind: Mapped[str]
    name: Mapped[str]
    """As whoever made it calls it."""
    object_name: Mapped[str] = mapped_column(unique=True)
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    size: Mapped[int | None]
    """In bytes."""
    sha256: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


def _file(column: str) -> ForeignKeyConstraint:
    """A file of the same brand; none any more where it was forgotten."""
    return ForeignKeyConstraint([column, "brand_id"], ["files.id", "files.brand_id"], ondelete=f"SET NULL ({column})")


class BulkRun(Base):
    """A catalogue that a brand takes in or out as a file; the worker does it.

    A run that is refused has problems, and its file was not imported; one that failed broke on our side, and is tried
    again a few times.
    """

    __tablename__ = "bulk_runs"
    __table_args__ = (
        one_of("kind", "import", "export"),
        one_of("state", "waiting", "running", "done", "refused", "failed"),
        one_of("language", "zh", "en"),
        CheckConstraint("(kind = 'import') = (is_dry_run IS NOT NULL)", name="is_dry_run"),
        CheckConstraint("(kind = 'import') = (language IS NOT NULL)", name="of_import"),
        CheckConstraint("(kind = 'export') = (with_stock IS NOT NULL)", name="with_stock"),
        CheckConstraint("(state IN ('done', 'refused')) = (finished_at IS NOT NULL)", name="finished_at"),
        CheckConstraint("finished_at >= started_at", name="started_at"),
        CheckConstraint("problems > 0 OR state <> 'refused'", name="problems"),
        CheckConstraint("0 <= done AND done <= total", name="done"),
        _file("file_id"),
        _file("report_file_id"),
        Index(None, "brand_id", "kind", "id"),
        Index(None, "file_id"),
        Index(None, "report_file_id"),
    )

    id: Mapped[int] = key("bulk_runs")
    kind: Mapped[str]
    brand_id: Mapped[int] = mapped_column(ForeignKey("brands.id"))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    """Who asked for it."""
    name: Mapped[str]
    """Of the file."""
    file_id: Mapped[int | None]
    """What is imported, or what an export has made."""
    is_dry_run: Mapped[bool | None]
    with_stock: Mapped[bool | None]
    language: Mapped[str | None]
    """Of the report."""
    state: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    step: Mapped[str] = mapped_column(server_default=text("''"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    """Of the step at work, out of `total`."""
    total: Mapped[int] = mapped_column(server_default=text("0"))
    rows: Mapped[int] = mapped_column(server_default=text("0"))
    inserted: Mapped[int] = mapped_column(server_default=text("0"))
    updated: Mapped[int] = mapped_column(server_default=text("0"))
    warnings: Mapped[int] = mapped_column(server_default=text("0"))
    problems: Mapped[int] = mapped_column(server_default=text("0"))
    """Those that keep the file out; warnings are none of them."""
    report_file_id: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
