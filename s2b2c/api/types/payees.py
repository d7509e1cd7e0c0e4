"""To whom money goes: what its owner has told, masked."""

from datetime import datetime
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c.api.types import errors


@strawberry.type(description="To whom your money goes (收款人). In full it stands in the files of finance alone.")
class PayeeDetails:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    legal_name: str = strawberry.field(description="The first character.")
    identity_number: str = strawberry.field(
        description="The first 3 and the last 4 characters: 身份证号, or 统一社会信用代码 of a company."
    )
    bank_name: str = strawberry.field(description="In full.")
    bank_account: str = strawberry.field(description="The last 4 digits.")
    updated_at: datetime = strawberry.field(description="When it was said.")


@strawberry.input(description="To whom your money goes (收款人).")
class SetPayeeInput:
    legal_name: str = strawberry.field(
        description="As on the identity card or the business licence: 1 to 100 characters."
    )
    identity_number: str = strawberry.field(
        description="The 身份证号 of a person, or the 统一社会信用代码 of a company: 18 characters."
    )
    bank_name: str = strawberry.field(description="Bank and branch: 1 to 100 characters.")
    bank_account: str = strawberry.field(
        description="Of a person the number of a bank card, 16 to 19 digits; of a company 8 to 32 digits."
    )


SetPayeeResult = Annotated[PayeeDetails | errors.BadArgument, strawberry.union("SetPayeeResult")]
