"""Tiers and the tree of distributors."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of

STATES = ("applied", "rejected", "active", "watch", "suspended", "eliminated")


class Tier(Base):
    """A named rank of distributor (层级), rank 1 at the top."""

    __tablename__ = "tiers"
    __table_args__ = (CheckConstraint("rank >= 1", name="rank"),)

    id: Mapped[int] = key("tiers")
    code: Mapped[str] = mapped_column(unique=True)
    rank: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str]
    is_leader: Mapped[bool]


class Distributor(Base):
    """A node of the network (分销商); `ancestors` runs from itself upwards and its last element is the branch."""

    __tablename__ = "distributors"
    __table_args__ = (
        one_of("state", *STATES),
        CheckConstraint("ancestors[1] = id AND ancestors[2] IS NOT DISTINCT FROM parent_id", name="ancestors"),
        CheckConstraint("id <> ALL (ancestors[2:])", name="no_cycle"),
        Index("ix_distributors_ancestors", "ancestors", postgresql_using="gin"),
    )

    id: Mapped[int] = key("distributors")
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    tier_id: Mapped[int] = mapped_column(ForeignKey("tiers.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    ancestors: Mapped[list[int]]
    branch_id: Mapped[int] = mapped_column(Computed("ancestors[cardinality(ancestors)]", persisted=True))
    region: Mapped[str]
    joined_on: Mapped[date]
    state: Mapped[str]


class DistributorHistory(Base):
    """Who stood where, when: one row per span in which parent, tier and state did not change."""

    __tablename__ = "distributor_history"
    __table_args__ = (
        one_of("state", *STATES),
        CheckConstraint("NOT isempty(during)", name="during"),
        ExcludeConstraint(
            ("distributor_id", "="), ("during", "&&"), name="ex_distributor_history_during", using="gist"
        ),
        Index(
            "uq_distributor_history_current", "distributor_id", unique=True, postgresql_where=text("upper_inf(during)")
        ),
    )

    id: Mapped[int] = key("distributor_history")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    tier_id: Mapped[int] = mapped_column(ForeignKey("tiers.id"))
    state: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """Who began this span; nobody when it was imported."""
    reason: Mapped[str | None]
