"""The doors: who may enter which root field. Below a door every query is scoped in SQL by the viewer."""

from typing import Any

from strawberry.permission import BasePermission

from s2b2c.api.context import Info
from s2b2c.errors import Forbidden, Refused


class Shopper(BasePermission):
    """Anybody."""

    def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:  # noqa: ARG002
        return True


class BrandDoor(BasePermission):
    """A brand, at its own figures."""

    async def has_permission(self, source: Any, info: Info, **kwargs: Any) -> bool:  # noqa: ARG002
        role = (await info.context.viewer()).role
        if role != "brand":
            raise Refused(Forbidden(f"This door is for brands, but the token is for the role {role}."))
        return True
