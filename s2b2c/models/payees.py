"""Who is paid out, as finance and the tax office must know it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from s2b2c.db import Base, key
from s2b2c.sealed import Sealed, is_sealed


class Payee(Base):
    """To whom the money of a distributor or a brand goes (收款人)."""

    __tablename__ = "payees"
    __table_args__ = (
        CheckConstraint("num_nonnulls(distributor_id, brand_id) = 1", name="owner"),
        *map(is_sealed, ("legal_name", "identity_number", "bank_account")),
    )

    id: Mapped[int] = key("payees")
    distributor_id: Mapped[int | None] = mapped_column(ForeignKey("distributors.id"), unique=True)
    brand_id: Mapped[int | None] = mapped_column(ForeignKey("brands.id"), unique=True)
    legal_name: Mapped[str] = mapped_column(Sealed("legal_name"))
    identity_number: Mapped[str] = mapped_column(Sealed("identity_number"))
    """The 身份证号 of a person, or the 统一社会信用代码 of a company."""
    bank_name: Mapped[str]
    bank_account: Mapped[str] = mapped_column(Sealed("bank_account"))
    updated_at: Mapped[datetime]
    updated_by: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
