"""Settings, read once from the environment, and where the files beside the code lie."""

import ipaddress
import re
from functools import cache
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

import platformdirs
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PACKAGE = Path(__file__).parent
SHANGHAI = ZoneInfo("Asia/Shanghai")
CHECKOUT = PACKAGE.parent
_KEY = r"[A-Za-z0-9+/_-]{43}=?"


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
    """Signs the access tokens: 32 characters or more, or a JSON Web Key Set whose first key signs and whose every key
    verifies; made and kept in `state_dir()` when not set."""
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
    house_store: str = ""
    """The slug of the platform's own store: where links to a closed store lead when nobody else takes its customers."""
    minimum_payout: int = Field(100, ge=0)
    """Fen below which a statement is carried into the next one."""
    debt_offset_bps: int = Field(5_000, ge=0, le=10_000)
    """The most of what a statement brings that pays off a debt, in basis points."""
    withholding_months: Literal["income_months", "restart_after_gap"] = "income_months"
    """Which months count for the tax that is withheld: all with income, or those since the last one without."""
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
    person_requests: int = Field(600, ge=30)
    """Requests to GraphQL that a person may send a minute, over all processes."""
    address_requests: int = Field(6_000, ge=30)
    """Requests to GraphQL that may come a minute from one address, which many phones may share."""
    data_keys: SecretStr | None = None
    """Encrypt personal data: `name:key` with commas between, a key being 32 bytes in base64. The first encrypts, all
    decrypt; made and kept in `state_dir()` when not set."""
    lookup_key: SecretStr | None = Field(None, validate_default=True)
    """What people are found by instead of their phone: 32 bytes in base64 that never change. Goes with `data_keys`."""
    sms_url: str | None = None
    """Where one-time codes are posted to be sent, as JSON; without it nobody signs in with one."""
    sms_token: SecretStr | None = None
    """Sent there as Authorization: Bearer."""
    wechat_app_id: str | None = None
    """Of the mini-app; without it nobody signs in with WeChat."""
    wechat_app_secret: SecretStr | None = None
    wechat_api_base: str = "https://api.weixin.qq.com"
    """Where WeChat is; another address is for its stand-in alone."""
    trusted_proxies: str = ""
    """Addresses or networks, with commas between, whose X-Forwarded-For is believed."""
    log: Literal["json", "text"] = "text"
    """How `s2b2c serve` and `s2b2c worker` log: what goes wrong, as JSON also a line of each request."""
    metrics_port: int | None = Field(None, ge=1, le=65534)
    """Where `s2b2c serve` tells Prometheus, on `host`; `s2b2c worker` does on the port above it."""
    payout_limit: int = Field(5_000_000, ge=0)
    """Fen above which a payout is sent only when a second person has approved it."""
    payouts_per_second: int = Field(10, ge=1, le=100)
    """Calls to Stripe for payouts that a worker makes a second, at most."""
    event_days: int = Field(90, ge=31, le=3650)
    """Days that an event of Stripe is kept after it was handled: at least as long as Stripe may send it again."""
    job_log_days: int = Field(30, ge=1, le=3650)
    """Days that the log of a job is kept after it is done."""
    files_url: str | None = None
    """Where files are kept: file:///folder, s3://bucket/folder, gs:// or az://, whose credentials stand in their own
    variables; a folder of `state_dir()` when not set."""
    file_days: int = Field(30, ge=1, le=3650)
    """Days that a file which somebody uploaded or may download is kept."""
    upload_mib: int = Field(200, ge=1, le=10_240)
    """The largest file that may be uploaded."""

    @field_validator("data_keys")
    @classmethod
    def _are_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is not None and not re.fullmatch(rf"[\w-]+:{_KEY}(,[\w-]+:{_KEY})*", keys.get_secret_value(), re.ASCII):
            raise ValueError("must be name:key with commas between, each key 32 bytes in base64")
        return keys

    @field_validator("lookup_key")
    @classmethod
    def _is_key(cls, key: SecretStr | None, given: ValidationInfo) -> SecretStr | None:
        if key is None and given.data.get("data_keys") is not None:
            raise ValueError("must be set where S2B2C_DATA_KEYS is")
        if key is not None and not re.fullmatch(_KEY, key.get_secret_value(), re.ASCII):
            raise ValueError("must be 32 bytes in base64")
        return key

    @field_validator("files_url")
    @classmethod
    def _is_store(cls, url: str | None) -> str | None:
        if url is not None and not re.match(r"(file:///|(s3|gs|az)://)[^/]", url):
            raise ValueError("must be file:///folder, s3://bucket/folder, gs://bucket/folder or az://container/folder")
        return url

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, proxies: str) -> str:
        for proxy in filter(None, map(str.strip, proxies.split(","))):
            ipaddress.ip_network(proxy)
        return proxies

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
    """What this machine keeps: the embedded server, and secrets no setting gives. Never in an installed package."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return CHECKOUT / ".s2b2c"
    return Path(platformdirs.user_data_dir("s2b2c"))
