"""Payments through Stripe: opened, paid, refunded, reconciled. The only package that knows Stripe.

It keeps its own rows (payments, refund requests, events, connected accounts) and never calls orders: `digest` answers
what events mean, and the worker tells the orders. A call to Stripe is made with no session open, between the wish and
the outcome, both committed; a crash anywhere is finished by calling the same again.
"""

from s2b2c.payments.accounts import account_of, onboard, refresh_account
from s2b2c.payments.digesting import EVENTS, Digest, Ended, FailedRefund, Paid, Refunded, digest
from s2b2c.payments.events import MAX_BYTES, accept, forget_events, lock_event, mark_handled, waiting_events
from s2b2c.payments.gateway import Declined, Gateway, GatewayError, SentTransfer, UnknownOutcome, Unreachable, connect
from s2b2c.payments.opening import (
    Opened,
    cancel_payment,
    cancel_payments,
    finish_opening,
    left_opening,
    open_at_stripe,
    open_payment,
)
from s2b2c.payments.reconciling import COMPARED, Break, Report, reconcile, stage_breaks, stage_tables, staged
from s2b2c.payments.refunding import ask_refund, return_payment, send_refund, to_return

__all__ = [
    "COMPARED",
    "EVENTS",
    "MAX_BYTES",
    "Break",
    "Declined",
    "Digest",
    "Ended",
    "FailedRefund",
    "Gateway",
    "GatewayError",
    "Opened",
    "Paid",
    "Refunded",
    "Report",
    "SentTransfer",
    "UnknownOutcome",
    "Unreachable",
    "accept",
    "account_of",
    "ask_refund",
    "cancel_payment",
    "cancel_payments",
    "connect",
    "digest",
    "finish_opening",
    "forget_events",
    "left_opening",
    "lock_event",
    "mark_handled",
    "onboard",
    "open_at_stripe",
    "open_payment",
    "reconcile",
    "refresh_account",
    "return_payment",
    "send_refund",
    "stage_breaks",
    "stage_tables",
    "staged",
    "to_return",
    "waiting_events",
]
