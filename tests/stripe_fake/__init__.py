"""A stand-in for Stripe: its API over real HTTP, with a memory, webhooks, and trouble on demand."""

from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.fake import Fake
from tests.stripe_fake.server import Server, running
from tests.stripe_fake.world import Settings

__all__ = ["Fake", "Server", "Settings", "StripeRefusal", "running"]
