"""Reconciliation (对账): what rails report of our money, matched with what we have; where the two differ is kept."""

from s2b2c.reconciliation.asking import ask, read_rail_report
from s2b2c.reconciliation.breaks import age_days, breaks, rail_break, reports, resolve
from s2b2c.reconciliation.matching import Read, read_bank, read_stripe

__all__ = [
    "Read",
    "age_days",
    "ask",
    "breaks",
    "rail_break",
    "read_bank",
    "read_rail_report",
    "read_stripe",
    "reports",
    "resolve",
]
