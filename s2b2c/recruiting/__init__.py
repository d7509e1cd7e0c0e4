"""Recruiting: how a region that lost distributors gets new ones (末位淘汰, 新增优质经销商).

seats       places to fill on a tier in a region, and where somebody is missing
codes       who invited; a code pays nobody anything
applying    what a person tells of itself, once for each seat
judging     ranked and explained, checked, approved once for each place
onboarding  what a new distributor has done so far

Locks are taken in the order person, seats by id, application, tree.
"""

from s2b2c.recruiting.applying import NewApplication, own_application, own_applications, submit, withdraw
from s2b2c.recruiting.codes import code_row, codes, make_code, revoke_code
from s2b2c.recruiting.judging import (
    NO_APPLICATION,
    Approval,
    Criterion,
    Ranked,
    application,
    application_row,
    applications,
    approve,
    events,
    move_application,
    ranked,
    reject,
    review,
    standing,
    verify,
)
from s2b2c.recruiting.onboarding import OnboardingStep, onboarding
from s2b2c.recruiting.seats import (
    NewSeat,
    Weights,
    change_weights,
    close_seat,
    open_seat,
    seat_row,
    seats,
    vacancies,
)

__all__ = [
    "NO_APPLICATION",
    "Approval",
    "Criterion",
    "NewApplication",
    "NewSeat",
    "OnboardingStep",
    "Ranked",
    "Weights",
    "application",
    "application_row",
    "applications",
    "approve",
    "change_weights",
    "close_seat",
    "code_row",
    "codes",
    "events",
    "make_code",
    "move_application",
    "onboarding",
    "open_seat",
    "own_application",
    "own_applications",
    "ranked",
    "reject",
    "review",
    "revoke_code",
    "seat_row",
    "seats",
    "standing",
    "submit",
    "vacancies",
    "verify",
    "withdraw",
]
