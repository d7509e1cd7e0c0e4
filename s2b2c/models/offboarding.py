"""Who was eliminated, what that moved, and what was moved back."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, false, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class Elimination(Base):
    """A distributor left the network (清退), until it is reinstated; counts and fen are those of that moment."""

    __tablename__ = "eliminations"
    __table_args__ = (
        one_of("state_before", "watch", "suspended"),
        CheckConstraint("reason <> ''", name="reason"),
        CheckConstraint("home_id <> distributor_id", name="home"),
        CheckConstraint("least(members, downlines, customers, stores, sessions, debt) >= 0", name="counts"),
        CheckConstraint(
            "num_nonnulls(reinstated_at, reinstated_by, reinstate_reason) "
            "= CASE WHEN reinstated_at IS NULL THEN 0 ELSE 3 END",
            name="reinstated",
        ),
        CheckConstraint("reinstated_at > at", name="reinstated_at"),
        CheckConstraint("reinstate_reason <> ''", name="reinstate_reason"),
        CheckConstraint("reinstated_person_id IS NULL OR reinstated_at IS NOT NULL", name="reinstated_person"),
        Index("uq_eliminations_open", "distributor_id", unique=True, postgresql_where=text("reinstated_at IS NULL")),
        Index(None, "distributor_id", "id"),
    )

    id: Mapped[int] = key("eliminations")
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"))
    at: Mapped[datetime]
    reason: Mapped[str]
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """Who of the account decided; none where a token of the command line did."""
    state_before: Mapped[str]
    home_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    """Whose its customers and direct downlines are since; none where nobody above earned."""
    members: Mapped[int] = mapped_column(server_default="0")
    """Everybody below it."""
    downlines: Mapped[int] = mapped_column(server_default="0")
    customers: Mapped[int] = mapped_column(server_default="0")
    stores: Mapped[int] = mapped_column(server_default="0")
    sessions: Mapped[int] = mapped_column(server_default="0")
    pending: Mapped[int]
    """Commissions whose hold was not over, net of what refunds took back."""
    matured: Mapped[int]
    """Commissions that had matured and were in no statement."""
    debt: Mapped[int]
    reinstated_at: Mapped[datetime | None]
    reinstated_by: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    reinstated_person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    reinstate_reason: Mapped[str | None]


class EliminationMove(Base):
    """A direct downline that an elimination moved to the new home, or made a root."""

    __tablename__ = "elimination_moves"

    elimination_id: Mapped[int] = mapped_column(ForeignKey("eliminations.id"), primary_key=True, autoincrement=False)
    distributor_id: Mapped[int] = mapped_column(ForeignKey("distributors.id"), primary_key=True, autoincrement=False)
    is_back: Mapped[bool] = mapped_column(server_default=false())


class EliminationStore(Base):
    """A store that an elimination closed."""

    __tablename__ = "elimination_stores"
    __table_args__ = (Index(None, "store_id"),)

    elimination_id: Mapped[int] = mapped_column(ForeignKey("eliminations.id"), primary_key=True, autoincrement=False)
    store_id: Mapped[int] = mapped_column(ForeignKey("stores.id"), primary_key=True, autoincrement=False)
    is_back: Mapped[bool] = mapped_column(server_default=false())


class EliminationBinding(Base):
    """A binding that an elimination ended; the one that it began, and the one that reinstating began."""

    __tablename__ = "elimination_bindings"
    __table_args__ = (
        ForeignKeyConstraint(["ended_id", "customer_id"], ["bindings.id", "bindings.customer_id"]),
        ForeignKeyConstraint(["begun_id", "customer_id"], ["bindings.id", "bindings.customer_id"]),
        ForeignKeyConstraint(["back_id", "customer_id"], ["bindings.id", "bindings.customer_id"]),
    )

    elimination_id: Mapped[int] = mapped_column(ForeignKey("eliminations.id"), primary_key=True, autoincrement=False)
    ended_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    customer_id: Mapped[int]
    begun_id: Mapped[int | None]
    """None where there was no new home: the customer was free."""
    until: Mapped[datetime | None]
    """When the binding would have ended; none for never."""
    back_id: Mapped[int | None]
