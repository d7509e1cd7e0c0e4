from collections.abc import AsyncIterator

import pytest

from s2b2c.db import Database
from tests.api.client import Api, api_on


@pytest.fixture
async def api(db: Database) -> AsyncIterator[Api]:
    async with api_on(db) as api:
        yield api
