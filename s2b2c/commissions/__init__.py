"""What each position of an upline earns on an order line, and why."""

from s2b2c.commissions.accrual import Offer, accrue, claw_back, quote
from s2b2c.commissions.earnings import Earnings, earnings, earnings_by_day, earnings_by_line

__all__ = ["Earnings", "Offer", "accrue", "claw_back", "earnings", "earnings_by_day", "earnings_by_line", "quote"]
