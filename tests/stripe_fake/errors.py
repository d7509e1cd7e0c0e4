"""What Stripe answers when it refuses."""

from typing import Any


class StripeRefusal(Exception):
    """A refusal in Stripe's shape. `more` are further fields of the error, such as the intent it is about."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        given = {"code": code, "message": message, "param": param, "type": kind} | more
        self.error = {name: value for name, value in given.items() if value is not None}


def no_such(label: str, key: str, *, param: str, status: int) -> StripeRefusal:
    """404 for what a path names, 400 for what a parameter names."""
    return StripeRefusal(status, f"No such {label}: '{key}'", code="resource_missing", param=param)


def not_covered(what: str, param: str) -> StripeRefusal:
    """Stripe could do this, its stand-in cannot: better a refusal than something that only looks like it."""
    return StripeRefusal(400, f"The stand-in for Stripe does not cover {what}", code="not_covered", param=param)
