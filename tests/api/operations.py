"""The exact answers to graphql/operations on the sample network: answers/<door>/<Operation>.json.

With S2B2C_WRITE_ANSWERS in the environment they are written anew; whoever does that reads what has changed.
"""

import json
import os
from collections.abc import Container
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.api.client import Api

MOST_STATEMENTS = 4
FOLDER = Path(__file__).parent / "answers"
DRAWN = "drawn anew each time"


async def check(
    api: Api,
    operation: str,
    token: str | None = None,
    *,
    statements: int,
    most: int = MOST_STATEMENTS,
    case: str = "",
    drawn: Container[str] = (),
    given: Any = MappingProxyType({}),
    **variables: Any,
) -> Any:
    """Run an operation; its answer must be the one on file, got with exactly so many SQL statements. Returns it.

    `case` tells the answers to one operation apart; texts in the fields `drawn` are never the same twice; `given` are
    variables that have the name of an argument here. A mutation that does several steps, or asks Stripe between two
    transactions, may need more statements than `MOST_STATEMENTS`.
    """
    answer = await api.run(operation, token, **given, **variables)
    sent = list(api.statements)
    assert "errors" not in answer, answer
    file = FOLDER / f"{operation}{case and '.'}{case}.json"
    shown = _without(answer, drawn)
    if "S2B2C_WRITE_ANSWERS" in os.environ:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(shown, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    assert shown == json.loads(file.read_text(encoding="utf-8"))
    assert len(sent) == statements <= most, (len(sent), sent)
    return answer


def _without(value: Any, drawn: Container[str]) -> Any:
    """The answer with the texts of these fields blanked."""
    if isinstance(value, dict):
        return {
            name: DRAWN if name in drawn and isinstance(inner, str) else _without(inner, drawn)
            for name, inner in value.items()
        }
    return [_without(inner, drawn) for inner in value] if isinstance(value, list) else value
