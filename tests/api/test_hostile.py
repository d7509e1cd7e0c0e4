"""Those who mean no good get an answer, and nothing is run."""

import pytest

from tests.api.client import Api
from tests.hostile import HTTP, REQUESTS, Hostile


@pytest.mark.parametrize("hostile", REQUESTS.values(), ids=REQUESTS)
async def test_it_is_answered_and_not_run(sample: Api, hostile: Hostile) -> None:
    sample.statements.clear()
    headers = dict(hostile.headers)
    response = await sample.http.request(hostile.method, hostile.path, content=hostile.body, headers=headers)
    assert sample.statements == []
    assert len(response.content) < 10_000
    assert "Traceback" not in response.text
    if hostile.outcome == HTTP:
        assert 400 <= response.status_code < 500
        assert response.text
        return
    assert response.status_code in {200, 400}
    answer = response.json()
    assert answer.get("data") is None
    assert {error["extensions"]["code"] for error in answer["errors"]} == {hostile.outcome}
    assert all(error["message"] for error in answer["errors"])
