"""A plan in plain words, to be read by whoever must stand by it."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.commissions.documents import PlanDocument, RuleDocument, Scope
from s2b2c.commissions.plans import Stored
from s2b2c.config import SHANGHAI, settings
from s2b2c.db import AnyRow
from s2b2c.money import format_yuan
from s2b2c.notices import Language
from s2b2c.sql import statements

_LINE = {"quantity": 2, "paid": 9899, "supply": 5200}
"""What the examples are reckoned on: 2 x 4990 fen less 81; the goods cost the platform 2 x 2600."""
_TIER_COSTS = [4200, 3900, 3500]
"""Of one unit, the seller's first."""

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "zh": {
        "title": "# 分佣方案 {code}",
        "version": "（第 {version} 版）",
        "draft": "草案，尚未生效。",
        "active": "已启用。",
        "ever": "有史以来",
        "from_to": "有效期：自 {start} 起，至 {end} 前（北京时间）。",
        "from": "有效期：自 {start} 起（北京时间），未定终止时间。",
        "floor": "平台保底：每个订单行先为平台留下实付的 {floor}。佣金合计会动用这部分时，各份按比例缩减。",
        "no_floor": "平台保底：0。佣金合计最多把平台在该行的毛利用完，超出时各份按比例缩减。",
        "precedence": "每个订单行只按一条规则分佣，取最具体的一条：规格 > 商品 > 品类 > 品牌 > 全部。"
        "没有规则适用的，全部归平台。",
        "line": "下面的例子都用同一个订单行：2 件 × 49.90 元，优惠 0.81 元，实付 98.99 元；"
        "供货 2 × 26.00 = 52.00 元，毛利 46.99 元。",
        "no_rules": "方案没有规则，不付任何佣金。",
        "rule": "## 规则 {number}：{scope}",
        "everything": "全部商品",
        "category": "品类 {category}",
        "brand": "品牌 {brand}",
        "product_code": "品牌 {brand} 的商品 {product_code}",
        "sku": "品牌 {brand} 的规格 {sku}",
        "nobody": "不付佣金，全部归平台。",
        "levels": "比例：按{base}的比例，从卖家起逐级向上。",
        "fixed": "固定额：每件固定金额，从卖家起逐级向上。",
        "differential": "级差：按{base}，每一级只拿本层级比例高出下方最高比例的部分，最多 {depth} 个位置。"
        "层级比例：{rates}。",
        "same_tier": "平级奖：第一个与下方最高比例持平的上级得 {rate}，每行一次。",
        "spread": "价差：卖家得实付减去自己的拿货价；上级得下方最低拿货价与自己拿货价之差，最多 {depth} 个位置。",
        "costs": "例中每件拿货价自卖家起为 {costs} 元。",
        "paid": "实付",
        "margin": "毛利（实付减供货）",
        "tier": "（层级 {tier}）",
        "rate": "，{rate}",
        "each": "，每件 {amount} 元",
        "seller": "卖家",
        "upline": "第 {position} 级上级",
        "share": "- {who}{why}：得 {amount} 元{capped}",
        "capped": "（保底前 {uncapped} 元）",
        "platform": "- 平台留下 {amount} 元",
        "compress": "紧缩：停权或淘汰的上级不占位置，由再上一级补上；卖家若停权或淘汰，其份额归平台。",
        "no_compress": "停权或淘汰的成员保留位置，其份额归平台。",
        "chain": "## 付佣层级",
        "longest": "最长付佣链：{paid} 个位置；平台设置的上限：{most}。",
        "within": "在上限之内。",
        "beyond": "超出上限：须书面批准后才能启用。",
        "overridden": "超出上限，已书面批准：{when}，由 {who} 批准，理由：{reason}",
        "account": "{role}（账号 {id}）",
        "nobody_named": "命令行或导入",
        "activated": "启用：{when}，操作人：{who}。",
        "art7": "限制付佣层级可以降低《禁止传销条例》第七条之下的风险；这不是对法律的判断。",
        "gap": "",
    },
    "en": {
        "title": "# Commission plan {code}",
        "version": ", version {version}",
        "draft": "A draft, not in force.",
        "active": "Activated.",
        "ever": "ever",
        "from_to": "Its time: from {start} until before {end}, Shanghai.",
        "from": "Its time: from {start}, Shanghai; no end is set.",
        "floor": "Margin floor: of every order line the platform first keeps {floor} of what is paid. Where the "
        "commissions would touch that, each is scaled down in proportion.",
        "no_floor": "Margin floor: 0. The commissions of a line use up the platform's margin at most; where they would "
        "go beyond it, each is scaled down in proportion.",
        "precedence": "One rule decides an order line, the most specific that fits: variant > product > category > "
        "brand > everything. Where none fits, all stays with the platform.",
        "line": "All examples are of one order line: 2 units at 49.90 yuan less 0.81, so 98.99 paid; supply "
        "2 x 26.00 = 52.00, margin 46.99.",
        "no_rules": "The plan has no rule and pays no commission.",
        "rule": "## Rule {number}: {scope}",
        "everything": "everything",
        "category": "category {category}",
        "brand": "brand {brand}",
        "product_code": "product {product_code} of brand {brand}",
        "sku": "variant {sku} of brand {brand}",
        "nobody": "Pays nobody: all stays with the platform.",
        "levels": "Levels (比例): a rate of {base} for each position, from the seller upwards.",
        "fixed": "Fixed (固定额): an amount for each unit to each position, from the seller upwards.",
        "differential": "Differential (级差): of {base}, each position earns what its tier's rate is above the highest "
        "rate below it; at most {depth} positions. Rates of the tiers: {rates}.",
        "same_tier": "Same-tier bonus (平级奖): the first upline that stands level with the highest rate below it "
        "gets {rate}, once a line.",
        "spread": "Spread (价差): the seller earns what is paid less its own cost, an upline the step from the lowest "
        "cost below it to its own; at most {depth} positions.",
        "costs": "In the example one unit costs {costs} yuan, the seller first.",
        "paid": "what is paid",
        "margin": "the margin (paid less supply)",
        "tier": " (tier {tier})",
        "rate": ", {rate}",
        "each": ", {amount} yuan a unit",
        "seller": "The seller",
        "upline": "Upline {position}",
        "share": "- {who}{why}: {amount} yuan{capped}",
        "capped": " ({uncapped} before the floor)",
        "platform": "- The platform keeps {amount} yuan",
        "compress": "Compression (紧缩): a suspended or eliminated upline takes no position; the next one above does. "
        "The share of such a seller stays with the platform.",
        "no_compress": "Who is suspended or eliminated keeps the position; that share stays with the platform.",
        "chain": "## How far it pays",
        "longest": "Longest paid chain: {paid} positions; the platform's setting: {most}.",
        "within": "Within the setting.",
        "beyond": "Beyond the setting: it cannot be activated unless that is overridden in writing.",
        "overridden": "Beyond the setting, overridden in writing: {when}, by {who}, because: {reason}",
        "account": "{role} (account {id})",
        "nobody_named": "the command line or an import",
        "activated": "Activated: {when}, by {who}.",
        "art7": "Limiting the chain reduces risk under 禁止传销条例 (regulation on the prohibition of pyramid selling) "
        "Art. 7; this is no statement about the law.",
        "gap": " ",
    },
}


async def rationale(session: AsyncSession, plan: PlanDocument | Stored, language: Language) -> str:
    """A plan, stored or a document that was resolved, as Markdown: what each rule pays whom, with an example by the
    engine itself; the longest paid chain against the setting, and who overrode that, when and why."""
    document = plan.document if isinstance(plan, Stored) else plan
    words = _WORDS[language]
    paragraphs = [
        *_header(document, plan if isinstance(plan, Stored) else None, words),
        *((words["precedence"], words["line"]) if document.rules else (words["no_rules"],)),
    ]
    examples = await _examples(session, document)
    for number, rule in enumerate(document.rules, start=1):
        paragraphs.append(words["rule"].format(number=number, scope=_scope(rule.scope, words)))
        paragraphs += _rule(rule, examples.get(number, ()), words)
    paragraphs += _chain(document, plan if isinstance(plan, Stored) else None, words)
    return "\n\n".join(paragraphs) + "\n"


def _header(document: PlanDocument, stored: Stored | None, words: Mapping[str, str]) -> list[str]:
    title = words["title"].format(code=_text(document.code))
    start = _time(document.start) if document.start else words["ever"]
    span = words["from_to"] if document.end else words["from"]
    floor = words["floor"] if document.margin_floor_bps else words["no_floor"]
    return [
        title + (words["version"].format(version=stored.plan.version) if stored else ""),
        words["active" if stored and stored.plan.state == "active" else "draft"]
        + words["gap"]
        + span.format(start=start, end=_time(document.end) if document.end else ""),
        floor.format(floor=_percent(document.margin_floor_bps)),
    ]


def _chain(document: PlanDocument, stored: Stored | None, words: Mapping[str, str]) -> list[str]:
    paid = max((rule.depth for rule in document.rules), default=0)
    most = stored.plan.max_paid_positions if stored else None
    most = settings().max_paid_positions if most is None else most
    lines = [words["longest"].format(paid=paid, most=most)]
    if stored is not None and stored.plan.activated_at is not None:
        role = {"role": stored.by, "id": stored.plan.activated_by}
        who = words["account"].format(**role) if stored.by else words["nobody_named"]
        when, reason = _time(stored.plan.activated_at), stored.plan.override_reason
        if reason is None:
            lines += [words["within"], words["activated"].format(when=when, who=who)]
        else:
            lines.append(words["overridden"].format(when=when, who=who, reason=_text(reason)))
    else:
        lines.append(words["within" if paid <= most else "beyond"])
    return [words["chain"], "\n".join(f"- {line}" for line in lines), words["art7"]]


async def _examples(session: AsyncSession, document: PlanDocument) -> dict[int, list[AnyRow]]:
    """What the line of the examples gives, by the number of each rule. A tier's rank is its place in `_tiers`."""
    rules, chains = [], []
    for number, rule in enumerate(document.rules, start=1):
        rates = [bps for _, bps in _tiers(rule)]
        numbers = {name: getattr(rule, name) for name in ("scheme", "base", "level_bps", "level_amounts")}
        more = {"same_tier_bps": rule.same_tier_bps, "depth": rule.depth, "compress": rule.compress}
        rules.append({"id": number, "plan_id": number, **numbers, **more, "tier_bps": rates})
        chains.append({"id": number, "chain": [1 + place for place in _climb(rule)]})
    if not rules:
        return {}
    rows = await session.execute(
        statements("plans")["examples"],
        {
            **_LINE,
            "tier_costs": _TIER_COSTS,
            "margin_floor_bps": document.margin_floor_bps,
            "rules": json.dumps(rules),
            "chains": json.dumps(chains),
        },
    )
    found: dict[int, list[AnyRow]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return found


def _tiers(rule: RuleDocument) -> list[tuple[str, int]]:
    """The tiers that a differential rule pays, the lowest rate first."""
    return sorted(((tier, bps) for tier, bps in rule.tier_bps.items() if bps), key=lambda rate: rate[1])


def _climb(rule: RuleDocument) -> Sequence[int]:
    """The chain of the example, each member by the place of its tier: every rate once, and one that stands level."""
    match rule.scheme:
        case "differential":
            places = list(range(len(_tiers(rule))))
            level = min(1, len(places) - 1)
            return places[: level + 1] + places[level:] if rule.same_tier_bps else places
        case "spread":
            return range(len(_TIER_COSTS))
        case _:
            return [0] * rule.depth


def _rule(rule: RuleDocument, shares: Sequence[AnyRow], words: Mapping[str, str]) -> list[str]:
    if not rule.depth or (rule.scheme == "differential" and not _tiers(rule)):
        return [words["nobody"]]
    rates = [f"{_text(tier)} {_percent(bps)}" for tier, bps in _tiers(rule)]
    said = words[rule.scheme].format(base=words[rule.base], depth=rule.depth, rates=", ".join(rates))
    if rule.same_tier_bps:
        said += words["gap"] + words["same_tier"].format(rate=_percent(rule.same_tier_bps))
    if rule.scheme == "spread":
        costs = " / ".join(format_yuan(cost) for cost in _TIER_COSTS)
        said += words["gap"] + words["costs"].format(costs=costs)
    lines = []
    for share in shares:
        capped = share.amount < share.uncapped_amount
        lines.append(
            words["share"].format(
                who=words["upline"].format(position=share.position) if share.position else words["seller"],
                why=_why(rule, share, words),
                amount=format_yuan(share.amount),
                capped=words["capped"].format(uncapped=format_yuan(share.uncapped_amount)) if capped else "",
            )
        )
    platform = _LINE["paid"] - _LINE["supply"] - sum(share.amount for share in shares)
    lines.append(words["platform"].format(amount=format_yuan(platform)))
    return [said, "\n".join(lines), words["compress" if rule.compress else "no_compress"]]


def _why(rule: RuleDocument, share: Any, words: Mapping[str, str]) -> str:
    match rule.scheme:
        case "fixed":
            return words["each"].format(amount=format_yuan(rule.level_amounts[share.position]))
        case "spread":
            return ""
        case "differential":
            tier, _ = _tiers(rule)[_climb(rule)[share.position]]
            return words["tier"].format(tier=_text(tier)) + words["rate"].format(rate=_percent(share.rate_bps))
        case _:
            return words["rate"].format(rate=_percent(share.rate_bps))


def _scope(scope: Scope, words: Mapping[str, str]) -> str:
    named = {name: _text(value) for name, value in scope._asdict().items() if value is not None}
    finest = next((name for name in ("sku", "product_code", "brand", "category") if name in named), "everything")
    return words[finest].format(**named)


def _percent(bps: int) -> str:
    """12.5% of 1250."""
    return f"{bps // 100}.{bps % 100:02d}".rstrip("0").rstrip(".") + "%"


def _time(at: datetime) -> str:
    return f"{at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"


def _text(value: str) -> str:
    """What somebody typed, so that Markdown shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", value)
