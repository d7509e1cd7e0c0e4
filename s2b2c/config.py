"""Settings, read once from the environment, and where the files beside the code lie."""

from functools import cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import platformdirs
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PACKAGE = Path(__file__).parent
SHANGHAI = ZoneInfo("Asia/Shanghai")
CHECKOUT = PACKAGE.parent


class Settings(BaseSettings):
    """Every setting has the environment variable `S2B2C_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="S2B2C_", env_ignore_empty=True)

    database_url: str | None = None
    """Any PostgreSQL >= 15. Without it the app starts its own server in `state_dir()`."""
    owner_database_url: str | None = None
    """Who migrates, where `database_url` logs in as the app role itself."""
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    token_secret: SecretStr | None = None
    """Signs the development tokens of `s2b2c token`; made and kept in `state_dir()` when not set."""
    hold_days: int = Field(7, ge=0, le=365)
    """Days from completion of an order to the maturity of its commissions."""
    pay_minutes: int = Field(30, ge=1, le=10_080)
    """Minutes until an order that is not paid expires and gives its stock back."""
    receive_days: int = Field(10, ge=1, le=365)
    """Days from shipping after which an order counts as received."""
    complete_days: int = Field(7, ge=0, le=365)
    """Days from receipt to the completion of an order."""
    freight: int = Field(0, ge=0, le=100_000)
    """Fen that a customer pays for shipping an order."""
    free_freight_from: int | None = Field(None, ge=0)
    """Fen of goods from which shipping is free."""
    binding_policy: Literal["first_touch", "last_touch", "window"] = "window"
    """Who gets a customer that several distributors reach (锁客): the first, the last, or the one whose time it is."""
    binding_days: int = Field(30, ge=1, le=36_500)
    """Days that a binding lasts under the policy `window`."""
    binding_protection_days: int = Field(7, ge=0, le=36_500)
    """Days of those in which nobody else takes the customer over."""
    stripe_api_key: SecretStr | None = None
    """sk_test_... or sk_live_...; without it `s2b2c serve` takes no payments."""
    stripe_webhook_secret: SecretStr | None = None
    """whsec_...: what Stripe signs its events with."""
    stripe_api_base: str = "https://api.stripe.com"
    """Where Stripe is; another address is for its stand-in alone."""
    max_paid_positions: int = Field(2, ge=0, le=20)
    """The longest chain a plan may pay (reduces risk under 禁止传销条例 Art. 7)."""
    operation_seconds: float = Field(10, gt=0, le=300)
    """Seconds after which an operation of the API is stopped, with its SQL."""
    documents: Literal["any", "trusted"] = "any"
    """What GraphQL runs: anything within the limits, or the documents of graphql/operations and nothing else."""

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _names_the_driver(cls, url: str | None) -> str | None:
        if url is None:
            return None
        scheme, separator, rest = url.partition("://")
        if scheme not in {"postgres", "postgresql", "postgresql+asyncpg"} or not separator:
            raise ValueError("must start with postgresql:// (any PostgreSQL >= 15)")
        return f"postgresql+asyncpg://{rest}"


@cache
def settings() -> Settings:
    return Settings()


def resource(name: str) -> Path:
    """The folder `name` ("migrations", "graphql"): inside the wheel, else in the checkout."""
    bundled = PACKAGE / "bundled" / name
    return bundled if bundled.is_dir() else CHECKOUT / name


def state_dir() -> Path:
    """What this machine keeps: the embedded server and the token secret. Never inside an installed package."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".s2b2c"
    return Path(platformdirs.user_data_dir("s2b2c"))
