"""Settlement runs and the statements they write."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of


class SettlementRun(Base):
    """Closes what matured before `cutoff` and stood in no statement yet."""

    __tablename__ = "settlement_runs"
    __table_args__ = (one_of("state", "draft"),)

    id: Mapped[int] = key("settlement_runs")
    cutoff: Mapped[datetime]
    state: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Statement(Base):
    """What one payee gets in one run: a distributor its commissions, a brand its supply."""

    __tablename__ = "statements"
    __table_args__ = (
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="payee"),
        UniqueConstraint("run_id", "distributor_id", "brand_id", postgresql_nulls_not_distinct=True),
        CheckConstraint("lines >= 1", name="lines"),
    )

    id: Mapped[int] = key("statements")
    run_id: Mapped[int] = mapped_column(ForeignKey("settlement_runs.id"))
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    lines: Mapped[int]
    """Commissions and clawbacks of a distributor, order lines and returns of a brand."""
    gross: Mapped[int]
    """The commissions, or the supply of the order lines."""
    clawbacks: Mapped[int] = mapped_column(server_default="0")
    """What refunds took back of commissions, or of supply."""
