"""The queue of jobs: the tables of pgqueuer, as far as the worker uses them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Enum, Index, Integer, LargeBinary, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key

_STATUS = Enum(
    "queued", "picked", "successful", "exception", "canceled", "deleted", "failed", name="pgqueuer_status"
)  # fmt: skip


class Job(Base):
    """A job that waits (`queued`), runs (`picked`) or is held (`failed`); one that is done leaves no row."""

    __tablename__ = "pgqueuer"
    # The names are pgqueuer's, which knows some of them.
    __table_args__ = (
        Index("pgqueuer_ep_ea_idx", "entrypoint", "execute_after", postgresql_where=text("status = 'queued'")),
        Index("pgqueuer_ep_prio_id_idx", "entrypoint", text("priority DESC"), "id",
              postgresql_where=text("status = 'queued'")),
        Index("pgqueuer_picked_heartbeat_idx", "heartbeat", postgresql_where=text("status = 'picked'")),
        Index("pgqueuer_picked_slot_idx", "entrypoint", "slot", unique=True,
              postgresql_where=text("status = 'picked' AND slot IS NOT NULL")),
        Index("pgqueuer_queue_manager_id_idx", "queue_manager_id",
              postgresql_where=text("queue_manager_id IS NOT NULL")),
        Index("pgqueuer_unique_dedupe_key", "dedupe_key", unique=True,
              postgresql_where=text("status IN ('queued', 'picked') AND dedupe_key IS NOT NULL")),
    )  # fmt: skip

    id: Mapped[int] = key("pgqueuer")
    priority: Mapped[int] = mapped_column(Integer)
    queue_manager_id: Mapped[UUID | None]
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    updated: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat: Mapped[datetime] = mapped_column(server_default=func.now())
    execute_after: Mapped[datetime] = mapped_column(server_default=func.now())
    status: Mapped[str] = mapped_column(_STATUS)
    entrypoint: Mapped[str]
    dedupe_key: Mapped[str | None]
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    """Tries that failed and were followed by another; the one at work or held is not counted."""
    slot: Mapped[int | None]


class JobLog(Base):
    """What became of a job, step by step; `traceback` says why a try failed."""

    __tablename__ = "pgqueuer_log"
    __table_args__ = (
        Index("pgqueuer_log_job_id_status", "job_id", text("created DESC")),
        Index("ix_pgqueuer_log_created", "created"),
    )

    id: Mapped[int] = key("pgqueuer_log")
    created: Mapped[datetime] = mapped_column(server_default=func.now())
    job_id: Mapped[int]
    status: Mapped[str] = mapped_column(_STATUS)
    priority: Mapped[int] = mapped_column(Integer)
    entrypoint: Mapped[str]
    traceback: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    aggregated: Mapped[bool | None] = mapped_column(server_default=text("false"))
