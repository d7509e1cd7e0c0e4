"""Payouts: the money of approved statements on its way to payees, by Stripe, by bank or outside.

A payout is sent by attempts, one alive at a time. The key of an attempt is committed before Stripe is asked, each call
is made outside of any transaction, and where no answer came Stripe is looked up before anything is sent again.
"""

from s2b2c.payouts.deciding import (
    approve,
    hold,
    mark_paid_outside,
    release,
    report_bank,
    retry,
    reverse,
    start,
)
from s2b2c.payouts.reading import StateTotal, attempts_of, of_run, of_statements, payout, totals_of, waiting
from s2b2c.payouts.sending import begin, finish_runs, work

__all__ = [
    "StateTotal",
    "approve",
    "attempts_of",
    "begin",
    "finish_runs",
    "hold",
    "mark_paid_outside",
    "of_run",
    "of_statements",
    "payout",
    "release",
    "report_bank",
    "retry",
    "reverse",
    "start",
    "totals_of",
    "waiting",
    "work",
]
