"""The exact answers to graphql/operations on the sample network: answers/<door>/<Operation>.json.

With S2B2C_WRITE_ANSWERS in the environment they are written anew; whoever does that reads what has changed.
"""

import json
import os
from pathlib import Path
from typing import Any

from tests.api.client import Api

MOST_STATEMENTS = 4
FOLDER = Path(__file__).parent / "answers"


async def check(
    api: Api, operation: str, token: str | None = None, *, statements: int, case: str = "", **variables: Any
) -> Any:
    """Run an operation; its answer must be the one on file, got with exactly so many SQL statements. Returns it.

    `case` tells the answers to one operation apart.
    """
    answer = await api.run(operation, token, **variables)
    sent = list(api.statements)
    assert "errors" not in answer, answer
    file = FOLDER / f"{operation}{case and '.'}{case}.json"
    if "S2B2C_WRITE_ANSWERS" in os.environ:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(answer, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert answer == json.loads(file.read_text(encoding="utf-8"))
    assert len(sent) == statements <= MOST_STATEMENTS, sent
    return answer
