"""The double-entry ledger: accounts, and transfers that are never changed."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class LedgerAccount(Base):
    """Where money stands: one per kind, or per kind and owner."""

    __tablename__ = "ledger_accounts"
    __table_args__ = (
        one_of(
            "kind",
            *("clearing", "escrow", "revenue", "brand_payable", "commission_payable"),
            *("tax_payable", "in_transit", "debt", "write_off"),
        ),
        CheckConstraint("(kind = 'clearing') = (rail IS NOT NULL)", name="rail"),
        CheckConstraint("(kind = 'brand_payable') = (brand_id IS NOT NULL)", name="brand"),
        CheckConstraint("(kind IN ('commission_payable', 'debt')) = (distributor_id IS NOT NULL)", name="distributor"),
        UniqueConstraint("kind", "rail", "brand_id", "distributor_id", postgresql_nulls_not_distinct=True),
    )

    id: Mapped[int] = key("ledger_accounts")
    kind: Mapped[str]
    rail: Mapped[str | None]
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))


class Transfer(Base):
    """`amount` fen moved from the debited to the credited account, because of `code` in one source; for good."""

    __tablename__ = "transfers"
    __table_args__ = (
        UniqueConstraint("branch_id", "source_type", "source_id", "code", "debit_account_id", "credit_account_id"),
        one_of(
            "code",
            *("payment", "freight", "supply", "commission", "revenue", "subsidy"),
            *("refund", "freight_refund", "supply_return", "clawback", "revenue_return"),
            *("adjustment", "withholding", "debt", "debt_offset", "write_off"),
            *("payout", "payout_sent", "payout_returned"),
        ),
        one_of("source_type", "order", "refund", "adjustment", "statement", "write_off", "payout"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("debit_account_id <> credit_account_id", name="accounts"),
        Index(None, "debit_account_id", "id"),
        Index(None, "credit_account_id", "id"),
    )

    branch_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = key("transfers")
    source_type: Mapped[str]
    source_id: Mapped[int]
    code: Mapped[str]
    debit_account_id: Mapped[int]
    credit_account_id: Mapped[int]
    amount: Mapped[int]
    posted_at: Mapped[datetime]
    """When the money moved in real life: payment, completion, refund, approval, payout."""


class LedgerCheckpoint(Base):
    """What the transfers of an account up to the horizon add up to, in fen."""

    __tablename__ = "ledger_checkpoints"
    __table_args__ = (
        CheckConstraint("debits >= 0", name="debits"),
        CheckConstraint("credits >= 0", name="credits"),
    )

    account_id: Mapped[int] = mapped_column(ForeignKey("ledger_accounts.id"), primary_key=True, autoincrement=False)
    debits: Mapped[int]
    credits: Mapped[int]


class LedgerHorizon(Base):
    """How far the checkpoints reach, and shall reach next: one row, none before the first time."""

    __tablename__ = "ledger_horizon"
    __table_args__ = (
        CheckConstraint("id = 1", name="one"),
        CheckConstraint("through_id BETWEEN 0 AND pending_id", name="through_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, server_default="1")
    through_id: Mapped[int]
    """The checkpoints hold every transfer up to it, and none behind it."""
    pending_id: Mapped[int]
    waits_for: Mapped[list[str]]
    """Virtual transaction ids: who had written transfers, and not ended, when `pending_id` was noted."""
