"""Places in the network that are to be filled, who asks for them, and what came of it.

Joining costs nothing and recruiting pays nothing: no column here holds money that anybody owes or gets for either.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of
from s2b2c.sealed import Sealed, is_sealed

MAX_FEN = 10**15


class Seat(Base):
    """Places to fill on a tier in a region, and how applications for them are compared."""

    __tablename__ = "seats"
    __table_args__ = (
        CheckConstraint("places BETWEEN 1 AND 1000", name="places"),
        CheckConstraint("taken BETWEEN 0 AND places", name="taken"),
        CheckConstraint("opens_at < closes_at", name="closes_at"),
        CheckConstraint(
            "least(experience_bps, audience_bps, output_bps, review_bps) >= 0 "
            "AND experience_bps + audience_bps + output_bps + review_bps = 10000",
            name="weights",
        ),
        CheckConstraint("num_nonnulls(closed_at, closed_by, close_reason) IN (0, 3)", name="closed_at"),
        Index("ix_seats_open", "id", postgresql_where=text("closed_at IS NULL")),
    )

    id: Mapped[int] = key("seats")
    tier_id: Mapped[int] = mapped_column(ForeignKey("tiers.id"))
    region: Mapped[str]
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    """Below whom; where nobody is named, below who invited."""
    places: Mapped[int]
    taken: Mapped[int] = mapped_column(server_default=text("0"))
    opens_at: Mapped[datetime]
    closes_at: Mapped[datetime | None]
    """The first moment at which nobody can apply any more."""
    needs_code: Mapped[bool]
    experience_bps: Mapped[int]
    audience_bps: Mapped[int]
    output_bps: Mapped[int]
    review_bps: Mapped[int]
    weights_version: Mapped[int] = mapped_column(server_default=text("1"))
    """One more for every change; there is none once somebody has applied."""
    created_at: Mapped[datetime]
    created_by: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    close_reason: Mapped[str | None]


class RecruitingCode(Base):
    """What somebody gives out so that others apply with it: it says who invited, and earns nobody anything."""

    __tablename__ = "recruiting_codes"
    __table_args__ = (
        CheckConstraint("num_nonnulls(revoked_at, revoked_by) IN (0, 2)", name="revoked_at"),
        Index(None, "distributor_id", "id"),
    )

    id: Mapped[int] = key("recruiting_codes")
    code: Mapped[str] = mapped_column(unique=True)
    seat_id: Mapped[int | None] = mapped_column(ForeignKey("seats.id"))
    """For which seat alone; for any where none is named."""
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    """Who invites; the platform where it is nobody."""
    created_at: Mapped[datetime]
    created_by: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))


class SeatApplication(Base):
    """Somebody asks for a place. Numbers are as it told them; one that the platform has checked stands beside."""

    __tablename__ = "seat_applications"
    __table_args__ = (
        one_of("state", "submitted", "withdrawn", "approved", "rejected"),
        *map(is_sealed, ("legal_name", "region", "introduction")),
        CheckConstraint("num_nonnulls(legal_name, region, introduction) IN (0, 3)", name="erased"),
        CheckConstraint("legal_name IS NOT NULL OR state <> 'submitted'", name="known"),
        *(
            CheckConstraint(f"{column} BETWEEN 0 AND {most}", name=column)
            for column, most in (
                ("experience_months", 1_200),
                ("audience", 10**9),
                ("declared_output", MAX_FEN),
                ("verified_experience_months", 1_200),
                ("verified_audience", 10**9),
                ("verified_output", MAX_FEN),
                ("review", 100),
            )
        ),
        CheckConstraint("(state = 'submitted') = (decided_at IS NULL)", name="decided_at"),
        CheckConstraint("(state = 'approved') = (distributor_id IS NOT NULL)", name="distributor_id"),
        CheckConstraint("state <> 'rejected' OR reason IS NOT NULL", name="reason"),
        UniqueConstraint("distributor_id"),
        Index("ix_seat_applications_waiting", "seat_id", "id", postgresql_where=text("state = 'submitted'")),
        Index(
            "uq_seat_applications_open",
            "person_id",
            "seat_id",
            unique=True,
            postgresql_where=text("state IN ('submitted', 'approved')"),
        ),
        Index(None, "person_id", "id"),
        Index(None, "code_id"),
    )

    id: Mapped[int] = key("seat_applications")
    seat_id: Mapped[int] = mapped_column(ForeignKey("seats.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    code_id: Mapped[int | None] = mapped_column(ForeignKey("recruiting_codes.id"))
    legal_name: Mapped[str | None] = mapped_column(Sealed("legal_name"))
    """This, the region and the introduction are gone once the person was erased."""
    region: Mapped[str | None] = mapped_column(Sealed("region"))
    introduction: Mapped[str | None] = mapped_column(Sealed("introduction"))
    experience_months: Mapped[int]
    audience: Mapped[int]
    """Members of its communities (群成员数)."""
    declared_output: Mapped[int]
    """What it says it sells in a month, in fen."""
    verified_experience_months: Mapped[int | None]
    verified_audience: Mapped[int | None]
    verified_output: Mapped[int | None]
    review: Mapped[int | None]
    """What an operator thinks of it, 0 to 100."""
    state: Mapped[str]
    submitted_at: Mapped[datetime]
    """It agreed then that the platform keeps and reads this."""
    decided_at: Mapped[datetime | None]
    reason: Mapped[str | None]
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))


class SeatApplicationEvent(Base):
    """One thing that was done with an application, by whom and when."""

    __tablename__ = "seat_application_events"
    __table_args__ = (
        one_of(
            "kind", "submitted", "withdrawn", "approved", "rejected", "verified", "reviewed", "moved", "member_removed"
        ),
        CheckConstraint("jsonb_typeof(facts) = 'object'", name="facts"),
        Index(None, "application_id", "id"),
    )

    id: Mapped[int] = key("seat_application_events")
    application_id: Mapped[int] = mapped_column(ForeignKey("seat_applications.id"))
    kind: Mapped[str]
    at: Mapped[datetime]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """Who did it; nobody where its person was erased, or became one with another."""
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    reason: Mapped[str | None]
