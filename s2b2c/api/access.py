"""The doors: who may enter which root field. Below a door every query is scoped in SQL by the viewer."""

from typing import Any, ClassVar

from strawberry.permission import BasePermission

from s2b2c.accounts import Viewer
from s2b2c.api.context import Info
from s2b2c.errors import Forbidden, Refused


class Shopper(BasePermission):
    """Anybody."""

    def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:  # noqa: ARG002
        return True


class Door(BasePermission):
    """Those who hold a token of one of these roles."""

    roles: ClassVar[tuple[str, ...]]

    async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:  # noqa: ARG002
        self.admit(await info.context.viewer())
        return True

    @classmethod
    def admit(cls, viewer: Viewer) -> None:
        """Raises Refused(Forbidden)."""
        if viewer.role not in cls.roles:
            wanted = " or ".join(cls.roles)
            raise Refused(
                Forbidden(f"This door is for the role {wanted}, but the token is for the role {viewer.role}.")
            )


class CustomerDoor(Door):
    """A customer, at its own addresses and orders."""

    roles = ("customer",)


class PartnerDoor(Door):
    """A distributor or group leader, at its own store and earnings.

    An applicant, and one that was eliminated, come in to see themselves and what they are told and paid: what is behind
    `Context.distributor_id` is closed to them.
    """

    roles = ("distributor",)


class BrandDoor(Door):
    """A brand, at its own figures."""

    roles = ("brand",)


class FinanceDoor(Door):
    """Finance, at all money."""

    roles = ("finance",)


class OperatorDoor(Door):
    """Whoever runs the network."""

    roles = ("operator",)


class PayoutDoor(Door):
    """Those who are paid out."""

    roles = ("distributor", "brand")


class NoticeDoor(Door):
    """Those who are told something."""

    roles = ("distributor", "brand")


class InviteDoor(Door):
    """Those who may invite somebody to a role."""

    roles = ("operator", "brand")


class FileDoor(Door):
    """Those who may download a file."""

    roles = ("brand", "operator")


class UploadDoor(Door):
    """Those who may upload a file, of one kind or another."""

    roles = ("brand", "finance")


class SupplyDoor(Door):
    """Those who may take products off the market: a brand its own, whoever runs the network any."""

    roles = ("operator", "brand")


class SignedIn(BasePermission):
    """Anybody who has signed in, whatever it may act as."""

    async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:  # noqa: ARG002
        if (await info.context.viewer()).session_id is None:
            raise Refused(Forbidden("This token belongs to no session: sign in for one."))
        return True
