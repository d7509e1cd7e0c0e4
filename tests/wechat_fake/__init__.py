"""A stand-in for WeChat's `code2Session` and for an SMS gateway, over real HTTP, with trouble on demand."""

from tests.wechat_fake.server import APP_ID, APP_SECRET, Fake, User, running

__all__ = ["APP_ID", "APP_SECRET", "Fake", "User", "running"]
