"""The shape of the repository: layers, sizes, and what must not be in it."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from s2b2c.config import CHECKOUT

FUNCTION_LINES = 70
MODULE_LINES = 500
NOT_OURS = {".git", ".venv", ".s2b2c", "__pycache__", "dist"}


def project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))


def files(*folders: str, suffix: str = "") -> Iterator[Path]:
    for folder in folders:
        for path in sorted((CHECKOUT / folder).rglob(f"*{suffix}")):
            if path.is_file() and not NOT_OURS.intersection(path.relative_to(CHECKOUT).parts):
                yield path


def python_files() -> list[Path]:
    return list(files("s2b2c", "seed", "tests", "migrations", suffix=".py"))


def name(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def test_layers() -> None:
    lint = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    linted = subprocess.run([sys.executable, "-c", lint], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_a_layer_in_brackets_is_not_written_yet() -> None:
    """Brackets make a layer optional; once it exists, a typing error in its name must not go unnoticed."""
    (contract,) = project()["tool"]["importlinter"]["contracts"]
    planned = re.findall(r"\((\w+)\)", " ".join(contract["layers"]))
    assert [name for name in planned if list((CHECKOUT / "s2b2c").glob(f"{name}*"))] == []


def test_modules_are_short() -> None:
    lines = {name(path): len(path.read_text("utf-8").splitlines()) for path in python_files()}
    assert {path: count for path, count in lines.items() if count > MODULE_LINES} == {}


def test_functions_are_short() -> None:
    long = [
        f"{name(path)}:{node.lineno} {node.name} has {length} lines"
        for path in python_files()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert long == []


def test_graphql_is_no_package() -> None:
    """Python there would shadow graphql-core."""
    assert list(files("graphql", suffix=".py")) == []


def locked(lock: str) -> dict[str, list[str]]:
    """The versions of each package in a lock file; more than one where markers tell them apart."""
    versions: dict[str, list[str]] = defaultdict(list)
    for found in re.finditer(r"^([\w.-]+)==(\S+)", (CHECKOUT / lock).read_text("utf-8"), re.MULTILINE):
        versions[canonicalize_name(found[1])].append(found[2])
    return versions


@pytest.mark.parametrize("lock", ["requirements.lock", "seed/requirements.lock"])
def test_a_lock_holds_versions_and_hashes_only(lock: str) -> None:
    """No address of an index, no path of a machine: it installs from wherever pip is told to look."""
    comment, *lines = (CHECKOUT / lock).read_text("utf-8").splitlines()
    assert comment.startswith("# ")
    assert "/" not in comment.replace(lock, "")
    version = re.compile(r"[a-z0-9._-]+==[\w.+!]+( ; [\w .'<>=!()]+)? \\")
    sha256 = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    assert [line for line in lines if not version.fullmatch(line) and not sha256.fullmatch(line)] == []


def test_locks_agree_with_the_project() -> None:
    declared = project()["project"]
    extras = declared["optional-dependencies"]
    wanted = [
        ("requirements.lock", declared["dependencies"] + extras["dev"] + project()["build-system"]["requires"]),
        ("seed/requirements.lock", extras["real"]),
    ]
    for lock, requirements in wanted:
        versions = locked(lock)
        for requirement in map(Requirement, requirements):
            found = versions.get(canonicalize_name(requirement.name))
            assert found, f"{requirement.name} is not in {lock}"
            assert all(map(requirement.specifier.contains, found)), f"{lock} has {requirement.name} {found}"


def test_locks_agree_with_each_other() -> None:
    ours, real = locked("requirements.lock"), locked("seed/requirements.lock")
    assert {package: ours[package] for package in ours if package in real and ours[package] != real[package]} == {}


def test_no_path_of_a_machine() -> None:
    home = re.compile(rb"/(?:home|root|Users)/\w")
    top = [path for path in CHECKOUT.iterdir() if path.is_file()]
    folders = files("s2b2c", "seed", "tests", "migrations", "graphql", ".ci")
    assert [name(path) for path in (*top, *folders) if home.search(path.read_bytes())] == []


def test_make_help_lists_every_target() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.+)", (CHECKOUT / "Makefile").read_text("utf-8"), re.MULTILINE)
    shown = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^make (\S+) +\S", shown, re.MULTILINE) == targets.split()
