"""Who has read personal data of others."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped

from s2b2c.db import Base, key, one_of

KINDS = (
    *("phone", "openid", "unionid", "recipient", "region", "street"),
    *("legal_name", "identity_number", "bank_account", "introduction"),
)


class PersonalRead(Base):
    """That somebody has seen personal data of another one unmasked, or has exported or erased it.

    The app can add rows and change none. They name what they are about without foreign keys: the trail outlives it,
    and whoever looks at a page of orders locks no row of theirs.
    """

    __tablename__ = "personal_reads"
    __table_args__ = (
        one_of("purpose", "shipping", "order", "support", "payout", "export", "erasure", "recruiting"),
        CheckConstraint(f"kinds <@ ARRAY[{', '.join(map(repr, KINDS))}]", name="kinds"),
        CheckConstraint("purpose <> 'support' OR reason IS NOT NULL", name="reason"),
        CheckConstraint("num_nonnulls(customer_id, person_id, distributor_id, brand_id) > 0", name="about"),
        CheckConstraint("(branch_id IS NULL) = (order_id IS NULL)", name="order_id"),
        CheckConstraint("reader_id IS NULL OR account_id IS NOT NULL", name="reader_id"),
        *(
            Index(f"ix_personal_reads_{column}_id", column, "id", postgresql_where=text(f"{column} IS NOT NULL"))
            for column in ("customer_id", "person_id", "distributor_id")
        ),
    )

    id: Mapped[int] = key("personal_reads")
    at: Mapped[datetime]
    account_id: Mapped[int | None]
    """Who read it; None for the command line."""
    reader_id: Mapped[int | None]
    """The person who had signed in as that account."""
    purpose: Mapped[str]
    reason: Mapped[str | None]
    """In the words of whoever read it."""
    kinds: Mapped[list[str]]
    customer_id: Mapped[int | None]
    person_id: Mapped[int | None]
    """Whose data it was, not who read it."""
    distributor_id: Mapped[int | None]
    brand_id: Mapped[int | None]
    branch_id: Mapped[int | None]
    order_id: Mapped[int | None]
