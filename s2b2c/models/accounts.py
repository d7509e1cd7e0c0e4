"""People who sign in, the roles they hold, and what keeps a stranger from being one of them."""

from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key, one_of
from s2b2c.sealed import is_sealed


class Account(Base):
    """One role of one person or team: which door it may enter, and for whom."""

    __tablename__ = "accounts"
    __table_args__ = (
        one_of("role", "customer", "distributor", "brand", "finance", "operator"),
        CheckConstraint("(role = 'brand') = (brand_id IS NOT NULL)", name="brand"),
        CheckConstraint("(role = 'distributor') = (distributor_id IS NOT NULL)", name="distributor"),
        CheckConstraint("(role = 'customer') = (customer_id IS NOT NULL)", name="customer"),
        UniqueConstraint("role", "brand_id", "distributor_id", "customer_id", postgresql_nulls_not_distinct=True),
        UniqueConstraint("id", "role"),
    )

    id: Mapped[int] = key("accounts")
    role: Mapped[str]
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"))
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"))


class Person(Base):
    """Somebody who signs in. Who it is stands in its identities, what it may do in its memberships."""

    __tablename__ = "people"

    id: Mapped[int] = key("people")
    password_hash: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Identity(Base):
    """What a person is known by. Found by a keyed fingerprint; the phone or id itself is sealed."""

    __tablename__ = "identities"
    __table_args__ = (one_of("kind", "phone", "openid", "unionid"), is_sealed("sealed"))

    fingerprint: Mapped[bytes] = mapped_column(primary_key=True)
    kind: Mapped[str]
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    sealed: Mapped[str] = mapped_column(info={"kind_in": "kind"})
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Membership(Base):
    """A person may act as an account. A customer is one person, and a person is one customer."""

    __tablename__ = "memberships"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "role"], ["accounts.id", "accounts.role"]),
        Index(None, "account_id"),
        Index("uq_memberships_customer", "account_id", unique=True, postgresql_where=text("role = 'customer'")),
        Index("uq_memberships_person", "person_id", unique=True, postgresql_where=text("role = 'customer'")),
    )

    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    role: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Session(Base):
    """A person that has signed in, on one device, until it signs out or a thief is noticed."""

    __tablename__ = "sessions"
    __table_args__ = (
        one_of("method", "password", "code", "wechat"),
        one_of("end_reason", "signed_out", "token_reused", "password_changed", "merged", "removed", "eliminated"),
        CheckConstraint("(ended_at IS NULL) = (end_reason IS NULL)", name="ended_at"),
        Index(None, "person_id"),
    )

    id: Mapped[int] = key("sessions")
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    method: Mapped[str]
    started_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None]


class RefreshToken(Base):
    """One of the tokens that a session has been carried on with; only the newest is unused."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (
        Index("uq_refresh_tokens_unused", "session_id", unique=True, postgresql_where=text("used_at IS NULL")),
        Index(None, "session_id"),
    )

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    session_id: Mapped[int] = mapped_column(ForeignKey("sessions.id", ondelete="CASCADE"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    """The membership that is acted for; none until one of several is chosen."""
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class OneTimeCode(Base):
    """The newest code that was sent to a phone."""

    __tablename__ = "one_time_codes"

    phone: Mapped[bytes] = mapped_column(primary_key=True)
    """Its fingerprint."""
    digest: Mapped[bytes]
    expires_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(server_default="0")
    used_at: Mapped[datetime | None]


class RateLimit(Base):
    """How full a bucket is that leaks evenly: empty at a time, and no more goes in when that is `span` away."""

    __tablename__ = "rate_limits"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    """The fingerprint of what is limited, and for whom."""
    empty_at: Mapped[datetime] = mapped_column(index=True)
    span: Mapped[timedelta]


class Invitation(Base):
    """Whoever has the token and answers at the phone may join an account, once."""

    __tablename__ = "invitations"
    __table_args__ = (
        CheckConstraint("(accepted_at IS NULL) = (accepted_by IS NULL)", name="accepted_at"),
        CheckConstraint("accepted_at < expires_at", name="expires_at"),
    )

    digest: Mapped[bytes] = mapped_column(primary_key=True)
    phone: Mapped[bytes]
    """Its fingerprint."""
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    invited_by: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    inviter_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    """None where a token of the command line invited."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
