"""`s2b2c plan` as a user runs it."""

from pathlib import Path

import pytest

from s2b2c.db import Database
from tests.commands import cli, snapshot_of
from tests.imports import load_world

YEAR = "plan: 年度\nfrom: 2999-01-01\nrules:\n  - scheme: levels\n    level_bps: [1000, 300]\n"


@pytest.fixture
async def world(db: Database, tmp_path: Path) -> Path:
    """A folder to write in, beside a network with the plan 标准 in force."""
    await load_world(db, tmp_path, until="plans")
    return tmp_path


async def test_a_plan_from_its_file_to_force(database_url: str, world: Path) -> None:
    file = world / "year.yaml"
    file.write_text(YEAR, encoding="utf-8")
    before = await snapshot_of(database_url)
    changes = (
        "Against 标准@1:\n  plan: 标准 -> 年度\n  from: 2026-01-01 -> 2999-01-01\n"
        "~ everything\n    level_bps: [1200, 300] -> [1000, 300]\n"
    )
    checked = cli(database_url, "plan", "check", str(file))
    assert checked == f"year.yaml: 1 rule, all right; nothing was saved\n{changes}"
    assert cli(database_url, "plan", "diff", str(file)) == changes
    assert "There is no plan 年度" in cli(database_url, "plan", "show", "年度", code=1)
    assert await snapshot_of(database_url) == before
    said = cli(database_url, "plan", "activate", str(file))
    assert said == "年度@1 is active: in force from 2999-01-01 00:00 in Shanghai\n"
    shown = cli(database_url, "plan", "show", "年度")
    assert shown == YEAR.replace("    level", "    base: paid\n    level")
    assert cli(database_url, "plan", "show", "标准@1").startswith("plan: 标准\nfrom: 2026-01-01\nto: 2999-01-01\n")
    assert cli(database_url, "plan", "diff", str(file), "--against", "年度@1") == "It says what 年度@1 says.\n"
    assert "年度@1 is active already" in cli(database_url, "plan", "activate", str(file), code=1)
    assert "Every invariant holds." in cli(database_url, "audit")


async def test_a_plan_that_pays_too_far(database_url: str, world: Path) -> None:
    file = world / "far.json"
    file.write_text(
        '{"plan": "远", "from": "2999-01-01", "rules": [{"scheme": "spread", "depth": 3}]}', encoding="utf-8"
    )
    assert "It pays 3 positions and the platform allows 2: activating needs --override." in cli(
        database_url, "plan", "check", str(file)
    )
    before = await snapshot_of(database_url)
    assert "reduces risk under 禁止传销条例 Art. 7" in cli(database_url, "plan", "activate", str(file), code=1)
    assert "The reason must be 1 to 500" in cli(database_url, "plan", "activate", str(file), "--override", " ", code=1)
    assert await snapshot_of(database_url) == before
    assert "远@1 is active" in cli(database_url, "plan", "activate", str(file), "--override", "试点")
    said = cli(database_url, "plan", "rationale", "远")
    assert "由 命令行或导入 批准，理由：试点" in said
    file.write_text(YEAR, encoding="utf-8")
    assert "nothing is to be overridden" in cli(database_url, "plan", "activate", str(file), "--override", "x", code=1)


def test_every_problem_is_one_line(database_url: str, world: Path) -> None:
    file = world / "bad.yaml"
    file.write_text(
        "plan: p\nrules:\n  - scheme: levels\n    level_bps: [1.5, 10001]\n  - scheme: spread\n    depth: 101\n",
        encoding="utf-8",
    )
    bps = "must be a whole number from 0 to 10000"
    for command in ("check", "activate", "diff", "rationale"):
        assert cli(database_url, "plan", command, str(file), code=1) == (
            f"bad.yaml: rules[0].level_bps[0]: {bps}\nbad.yaml: rules[0].level_bps[1]: {bps}\n"
            "bad.yaml: rules[1].depth: must be a whole number from 1 to 100\nbad.yaml: from: is missing\n"
        )
    file.write_text(YEAR + "  - {category: 狗粮, scheme: spread, depth: 1}\n", encoding="utf-8")
    said = cli(database_url, "plan", "check", str(file), code=1)
    assert said == "bad.yaml: rules[1].category: no product has the category 狗粮\n"
    file.write_text(YEAR, encoding="gb18030")
    assert cli(database_url, "plan", "check", str(file), code=1) == "bad.yaml: is not UTF-8: save it as UTF-8\n"
    missing = cli(database_url, "plan", "check", str(world / "no.yaml"), code=1)
    assert missing == "no.yaml: cannot be opened: No such file or directory\n"


def test_plain_words_of_a_file_and_of_a_plan(database_url: str, world: Path) -> None:
    file, told = world / "year.yaml", world / "year.md"
    file.write_text("\ufeff" + YEAR, encoding="utf-8")
    assert cli(database_url, "plan", "rationale", str(file), "--language", "en", "--out", str(told)) == f"{told}\n"
    text = told.read_text(encoding="utf-8")
    assert text.startswith("# Commission plan 年度\n\nA draft, not in force.")
    assert "- The seller, 10%: 9.89 yuan\n" in text
    said = cli(database_url, "plan", "rationale", "标准@1")
    assert said.startswith("# 分佣方案 标准（第 1 版）\n\n已启用。")
    assert "- 卖家，12%：得 11.87 元\n" in said
    assert "There is no plan 无: name a file, CODE or CODE@VERSION." in cli(
        database_url, "plan", "rationale", "无", code=1
    )
