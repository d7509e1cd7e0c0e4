"""What each position of an upline earns on an order line, and why."""

from s2b2c.commissions.accrual import Offer, accrue, claw_back, quote
from s2b2c.commissions.earnings import Earnings, earnings, earnings_by_day, earnings_by_line, earnings_of
from s2b2c.commissions.explain import (
    CommissionKey,
    Explanation,
    explained_lines,
    explained_order,
    explanation,
    explanations,
    for_beneficiary,
    sentence,
)

__all__ = [
    "CommissionKey",
    "Earnings",
    "Explanation",
    "Offer",
    "accrue",
    "claw_back",
    "earnings",
    "earnings_by_day",
    "earnings_by_line",
    "earnings_of",
    "explained_lines",
    "explained_order",
    "explanation",
    "explanations",
    "for_beneficiary",
    "quote",
    "sentence",
]
