"""The door of finance: every run, every statement, every account of the ledger."""

import strawberry


@strawberry.type(description="What finance sees.")
class FinanceQuery:
    role: str
