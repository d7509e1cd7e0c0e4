"""A plan in plain words: every number of it, and nothing that says more than it knows."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c import models
from s2b2c.commissions.documents import PlanDocument, parse
from s2b2c.commissions.plans import activate, by_id, check, named, save
from s2b2c.commissions.rationale import rationale
from s2b2c.notices import Language
from tests import factories

NOW = datetime(2026, 11, 21, 4, tzinfo=UTC)


def a_plan(*rules: str, floor: int = 0, code: str = "p") -> PlanDocument:
    listed = "".join(f"\n  - {rule}" for rule in rules) or " []"
    return parse(f"plan: {code}\nfrom: 2026-12-01\nmargin_floor_bps: {floor}\nrules:{listed}")


async def _shares(session: AsyncSession, *rules: str, language: Language = "zh", **header: Any) -> list[str]:
    """The lines of the example of the last rule."""
    said = await rationale(session, a_plan(*rules, **header), language)
    last = said.split("\n## ")[-2]
    return [line.removeprefix("- ") for line in last.splitlines() if line.startswith("- ")]


RATES = "tier_bps: {a: 800, b: 1200, c: 1500}, same_tier_bps: 50"


@pytest.mark.parametrize(
    ("rule", "floor", "said"),
    [
        # The worked numbers of the domain: paid 9899, supply 5200.
        (
            *("{scheme: levels, level_bps: [1200, 300]}", 0),
            ["卖家，12%：得 11.87 元", "第 1 级上级，3%：得 2.96 元", "平台留下 32.16 元"],
        ),
        (
            *("{scheme: levels, base: margin, level_bps: [1200, 300]}", 0),
            ["卖家，12%：得 5.63 元", "第 1 级上级，3%：得 1.40 元", "平台留下 39.96 元"],
        ),
        (
            *("{scheme: levels, level_bps: [1200, 300]}", 4000),
            [
                "卖家，12%：得 5.91 元（保底前 11.87 元）",
                "第 1 级上级，3%：得 1.47 元（保底前 2.96 元）",
                "平台留下 39.61 元",
            ],
        ),
        (
            *(f"{{scheme: differential, {RATES}, depth: 9}}", 0),
            [
                "卖家（层级 a），8%：得 7.91 元",
                "第 1 级上级（层级 b），4%：得 3.95 元",
                "第 2 级上级（层级 b），0.5%：得 0.49 元",
                "第 3 级上级（层级 c），3%：得 2.96 元",
                "平台留下 31.68 元",
            ],
        ),
        (
            *(f"{{scheme: differential, {RATES}, depth: 2, base: margin}}", 0),
            ["卖家（层级 a），8%：得 3.75 元", "第 1 级上级（层级 b），4%：得 1.87 元", "平台留下 41.37 元"],
        ),
        (
            *("{scheme: differential, tier_bps: {a: 800, z: 0}, same_tier_bps: 50, depth: 5}", 0),
            ["卖家（层级 a），8%：得 7.91 元", "第 1 级上级（层级 a），0.5%：得 0.49 元", "平台留下 38.59 元"],
        ),
        (
            *("{scheme: spread, depth: 3}", 0),
            ["卖家：得 14.99 元", "第 1 级上级：得 6.00 元", "第 2 级上级：得 8.00 元", "平台留下 18.00 元"],
        ),
        (*("{scheme: spread, depth: 1}", 0), ["卖家：得 14.99 元", "平台留下 32.00 元"]),
        (
            *("{scheme: fixed, level_amounts: [500, 0, 100]}", 0),
            [
                "卖家，每件 5.00 元：得 10.00 元",
                "第 1 级上级，每件 0.00 元：得 0.00 元",
                "第 2 级上级，每件 1.00 元：得 2.00 元",
                "平台留下 34.99 元",
            ],
        ),
        ("{scheme: levels, level_bps: []}", 0, []),
        ("{scheme: differential, tier_bps: {a: 0}, depth: 2}", 0, []),
    ],
)
async def test_the_example_is_what_the_engine_gives(
    session: AsyncSession, rule: str, floor: int, said: list[str]
) -> None:
    """Without a network: an empty database has no tier and no product. Beside other rules each stays on its own."""
    assert await _shares(session, rule, floor=floor) == said
    assert (
        await _shares(session, "{scheme: fixed, level_amounts: [7]}", f"{{category: c, {rule[1:]}", floor=floor) == said
    )


async def test_english(session: AsyncSession) -> None:
    plan = a_plan(
        "{scheme: levels, level_bps: [1250]}",
        "{category: c*d, scheme: spread, depth: 2, compress: true}",
        "{brand: b, product_code: c, scheme: levels, level_bps: []}",
        "{brand: b, sku: d, scheme: fixed, level_amounts: [1]}",
        "{brand: b, scheme: differential, tier_bps: {a: 1}, depth: 1}",
        code="a_b",
    )
    said = await rationale(session, plan, "en")
    paragraphs = said.split("\n\n")
    assert paragraphs[0] == "# Commission plan a\\_b"
    assert [line for line in paragraphs if line.startswith("##")] == [
        "## Rule 1: everything",
        "## Rule 2: category c\\*d",
        "## Rule 3: product c of brand b",
        "## Rule 4: variant d of brand b",
        "## Rule 5: brand b",
        "## How far it pays",
    ]
    assert paragraphs[1] == "A draft, not in force. Its time: from 2026-12-01 00:00, Shanghai; no end is set."
    assert "- The seller, 12.5%: 12.37 yuan\n- The platform keeps 34.62 yuan" in paragraphs
    assert "Pays nobody: all stays with the platform." in paragraphs
    assert paragraphs[-2].splitlines() == [
        "- Longest paid chain: 2 positions; the platform's setting: 2.",
        "- Within the setting.",
    ]
    assert "{" not in said


async def test_no_rules(session: AsyncSession) -> None:
    said = await rationale(session, a_plan(), "zh")
    assert "方案没有规则，不付任何佣金。" in said
    assert "最长付佣链：0 个位置" in said


async def test_who_overrode_it_when_and_why(session: AsyncSession) -> None:
    account = models.Account(role="operator")
    session.add(account)
    await session.flush()
    document = "plan: p\nfrom: 2026-12-01\nto: 2026-12-02\nrules: [{scheme: spread, depth: 3}]"
    draft = await save(session, await check(session, document), now=NOW)
    stored = await by_id(session, draft.id)
    assert stored is not None
    said = await rationale(session, stored, "zh")
    assert said.startswith(
        "# 分佣方案 p（第 1 版）\n\n草案，尚未生效。有效期：自 2026-12-01 00:00 起，至 2026-12-02 00:00 前（北京时间）。"
    )
    assert "- 最长付佣链：3 个位置；平台设置的上限：2。\n- 超出上限：须书面批准后才能启用。" in said
    await activate(session, draft.id, now=NOW, account_id=account.id, override_reason="试点 *一月*")
    stored = await by_id(session, draft.id)
    assert stored is not None
    said = await rationale(session, stored, "zh")
    assert "已启用。" in said
    assert (
        f"- 超出上限，已书面批准：2026-11-21 12:00，由 operator（账号 {account.id}） 批准，理由：试点 \\*一月\\*\n"
        in said
    )
    said = await rationale(session, stored, "en")
    assert (
        f"- Beyond the setting, overridden in writing: 2026-11-21 12:00, by operator (account {account.id}), "
        "because: 试点 \\*一月\\*\n" in said
    )


async def test_activated_by_an_import(session: AsyncSession) -> None:
    plan = await factories.a_plan(session, {"level_bps": [1]})
    said = await rationale(session, await named(session, plan.code), "en")
    assert "Activated. Its time: from ever, Shanghai; no end is set." in said
    assert "- Activated: 2026-01-01 08:00, by the command line or an import." in said


@pytest.mark.parametrize(
    ("language", "risk", "never"),
    [
        (
            "zh",
            "限制付佣层级可以降低《禁止传销条例》第七条之下的风险；这不是对法律的判断。",
            ("合法", "合规的", "违法"),
        ),
        ("en", "Limiting the chain reduces risk under 禁止传销条例 ", ("legal", "lawful", "compliant")),
    ],
)
async def test_it_never_says_what_is_legal(
    session: AsyncSession, language: Language, risk: str, never: tuple[str, ...]
) -> None:
    for rule in ("{scheme: spread, depth: 2}", "{scheme: spread, depth: 3}"):
        said = await rationale(session, a_plan(rule), language)
        assert risk in said
        assert [word for word in never if word in said.lower()] == []
