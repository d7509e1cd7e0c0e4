"""Commission plans and their rules."""

from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, NamedTuple

import strawberry

from s2b2c import models
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.types.brands import Brand
from s2b2c.api.types.errors import PlanProblem, done
from s2b2c.api.types.explanations import CommissionBase, CommissionScheme
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import ChangedBy
from s2b2c.api.types.nodes import OperatorNode
from s2b2c.api.types.notices import Language
from s2b2c.commissions import plans
from s2b2c.commissions.documents import write
from s2b2c.commissions.rationale import rationale
from s2b2c.config import settings
from s2b2c.directory import RulesPage
from s2b2c.errors import PlanProblem as ProblemRow


@strawberry.enum(description="What a plan has come to.")
class PlanState(Enum):
    DRAFT = "draft"
    ACTIVE = "active"


@strawberry.enum(description="What a rule is for. Of all that fit a line the first in this order applies.")
class RuleScope(Enum):
    VARIANT = "variant"
    PRODUCT = "product"
    CATEGORY = "category"
    BRAND = "brand"
    EVERYTHING = "everything"


def _scope(row: Any) -> RuleScope:
    if row.variant_id is not None:
        return RuleScope.VARIANT
    if row.product_id is not None:
        return RuleScope.PRODUCT
    if row.category is not None:
        return RuleScope.CATEGORY
    return RuleScope.EVERYTHING if row.brand_id is None else RuleScope.BRAND


@strawberry.type(description="What a tier earns under a differential rule (级差).")
class TierRate:
    tier: str = computed(lambda pair: pair[0], description="Its code.")
    bps: Int64 = computed(lambda pair: pair[1], description="In basis points: 1250 is 12.5 %.")


def _base(row: Any) -> CommissionBase | None:
    return CommissionBase(row.base) if row.scheme in {"levels", "differential"} else None


@strawberry.type(description="What one scope pays. The numbers of other schemes are empty.")
class Rule:
    id: strawberry.ID = id_of("rule")
    scope: RuleScope = computed(_scope, description="What it is for.")
    brand: Brand | None = strawberry.field(description="Of a rule for a brand, or the brand of its product or variant.")
    category: str | None
    product: str | None = strawberry.field(description="The title of its product, or of the product of its variant.")
    sku: str | None
    scheme: CommissionScheme
    base: CommissionBase | None = computed(_base, description="Null where the scheme takes no rates of it.")
    level_bps: list[Int64] = strawberry.field(description="The rate of each position, the seller's first.")
    level_amounts: list[Money] = strawberry.field(description="For each unit to each position, the seller's first.")
    tier_bps: list[TierRate] = computed(
        lambda row: row.rates or (), description="From the top; a tier without a rate is left out."
    )
    same_tier_bps: Int64 = strawberry.field(description="What the first that stands level gets once (平级奖).")
    depth: Int64 = strawberry.field(description="How many positions it pays at most.")
    compress: bool = strawberry.field(description="Whether blocked uplines leave their place to the next (紧缩).")


@strawberry.type(description="How a plan was put in force.")
class PlanActivation:
    at: datetime = computed(lambda plan: plan.activated_at, description="When that was done.")
    max_paid_positions: Int64 = strawberry.field(description="What the platform allowed then.")
    override_reason: str | None = strawberry.field(description="Why, though it pays further.")

    @strawberry.field(graphql_type=ChangedBy | None, description="Null where the command line or an import did it.")
    @staticmethod
    async def by(root: strawberry.Parent[models.Plan], info: Info) -> models.Account | None:
        return None if root.activated_by is None else await info.context.load.accounts.load(root.activated_by)


@strawberry.type(description="A commission plan (分佣方案): one version of its code.")
class Plan:
    is_type_of: ClassVar[Any] = classmethod(done)

    id: strawberry.ID = id_of("plan")
    code: str
    version: Int64
    state: PlanState
    margin_floor_bps: Int64 = strawberry.field(description="The part of what is paid that the platform keeps at least.")
    paid_positions: Int64 = strawberry.field(description="The longest chain that it pays.")
    activation: PlanActivation | None = computed(
        lambda plan: plan if plan.state == "active" else None, description="Null for a draft."
    )

    @strawberry.field(name="from", description="Null when it has been in force since ever.")
    @staticmethod
    def start(root: strawberry.Parent[models.Plan]) -> datetime | None:
        return root.during.lower

    @strawberry.field(name="to", description="Null when it has no end.")
    @staticmethod
    def end(root: strawberry.Parent[models.Plan]) -> datetime | None:
        return root.during.upper

    @strawberry.field(graphql_type=Connection[Rule], description="In the order they were written.")
    @staticmethod
    async def rules(
        root: strawberry.Parent[models.Plan], info: Info, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page = Page("rule", first, after, key_length=1)
        (last,) = page.after or (0,)
        rows = await info.context.load.rules.load(RulesPage(root.id, last, page.limit))
        return page.connection(rows, lambda row: (row.id,))


async def _stored(plan: models.Plan, info: Info) -> plans.Stored:
    async with info.context.db.read() as session:
        found = await plans.by_id(session, plan.id)
    assert found is not None, "plans are never deleted"
    return found


@strawberry.type(description="A commission plan with its texts.")
class PlanDetail(Plan, OperatorNode):
    id: strawberry.ID = id_of("plan")

    @strawberry.field(description="It as a YAML document, to be changed and saved as the next version.")
    @staticmethod
    async def document(root: strawberry.Parent[models.Plan], info: Info) -> str:
        return write((await _stored(root, info)).document)

    @strawberry.field(description="It in plain words, with worked examples, in Markdown.")
    @staticmethod
    async def rationale(root: strawberry.Parent[models.Plan], info: Info, language: Language = Language.ZH) -> str:
        stored = await _stored(root, info)
        async with info.context.db.read() as session:
            return await rationale(session, stored, language.value)


@strawberry.type(description="A key of a plan document whose value differs. Values are as the document has them.")
class FieldChange:
    field: str = strawberry.field(description="The key.")
    before: str | None = strawberry.field(description="Null where there was none.")
    after: str | None = strawberry.field(description="Null where there is none.")


@strawberry.enum(description="What became of a rule.")
class RuleChangeKind(Enum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@strawberry.type(description="A rule that differs between two plans.")
class RuleChange:
    kind: RuleChangeKind
    scope: str = strawberry.field(description="What it is for, like `brand 绒溪小厨, sku RX01-1`, or `everything`.")
    fields: list[FieldChange] = strawberry.field(description="The keys whose values differ.")


@strawberry.type(description="What one plan says otherwise than another. Rules are compared that are for the same.")
class PlanChanges:
    against: str | None = strawberry.field(description="CODE@VERSION; null when no plan was in force.")
    header: list[FieldChange] = strawberry.field(description="What differs outside the rules.")
    rules: list[RuleChange] = strawberry.field(description="The rules that differ.")


class CheckedPlan(NamedTuple):
    problems: tuple[ProblemRow, ...]
    resolved: plans.Resolved | None


@strawberry.type(description="What is to be said of a plan document before it is saved.")
class PlanCheck:
    problems: list[PlanProblem] = strawberry.field(
        description="Everything that is wrong with it; then what is below is null, but for the setting."
    )
    paid_positions: Int64 | None = computed(
        lambda row: row.resolved and row.resolved.paid_positions, description="The longest chain that it pays."
    )
    max_paid_positions: Int64 = computed(
        lambda _: settings().max_paid_positions,
        description="What the platform allows without an override: a shorter chain reduces risk under 禁止传销条例 "
        "Art. 7.",
    )

    @strawberry.field(description="It in plain words, with worked examples, in Markdown.")
    @staticmethod
    async def rationale(
        root: strawberry.Parent[CheckedPlan], info: Info, language: Language = Language.ZH
    ) -> str | None:
        if root.resolved is None:
            return None
        async with info.context.db.read() as session:
            return await rationale(session, root.resolved.document, language.value)

    @strawberry.field(
        graphql_type=PlanChanges | None, description="Against the plan that is in force at the moment it begins."
    )
    @staticmethod
    async def changes(root: strawberry.Parent[CheckedPlan], info: Info) -> plans.Changes | None:
        if root.resolved is None:
            return None
        async with info.context.db.read() as session:
            return await plans.diff_in_force(session, root.resolved.document)
