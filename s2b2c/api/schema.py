"""Query and Mutation put together, and how it answers when something goes wrong."""

import logging

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from s2b2c import logs
from s2b2c.accounts import Viewer
from s2b2c.api.access import BrandDoor, FinanceDoor, OperatorDoor, PartnerDoor, Shopper
from s2b2c.api.allotments import AllotmentMutation
from s2b2c.api.brand import BrandMutation, BrandQuery
from s2b2c.api.brand_products import OwnProductMutation
from s2b2c.api.bulk import BulkMutation
from s2b2c.api.context import Info
from s2b2c.api.finance import FinanceQuery
from s2b2c.api.finance_exports import FinanceExportMutation
from s2b2c.api.jobs import JobMutation
from s2b2c.api.limits import Limits
from s2b2c.api.notices import NoticeMutation
from s2b2c.api.offboarding import OffboardingMutation
from s2b2c.api.operator import OperatorMutation, OperatorQuery
from s2b2c.api.partner import PartnerMutation, PartnerQuery
from s2b2c.api.paying_out import PayingOutMutation
from s2b2c.api.payouts import PayoutMutation
from s2b2c.api.pricing import PricingMutation
from s2b2c.api.privacy import PersonalDataMutation
from s2b2c.api.ranking import OwnTailMutation, RankingMutation
from s2b2c.api.reconciliation import ReconciledMutation
from s2b2c.api.recruiting import RecruitingMutation
from s2b2c.api.reviews import ReviewMutation
from s2b2c.api.sales_exports import SalesExportMutation
from s2b2c.api.settling import SettlingMutation
from s2b2c.api.shop import ShopMutation, ShopQuery
from s2b2c.api.sign_in import SignInMutation
from s2b2c.api.statements import StatementMutation
from s2b2c.api.storefronts import StorefrontMutation
from s2b2c.api.telemetry import Named
from s2b2c.api.types.errors import HANDLERS
from s2b2c.api.types.glossary import describe
from s2b2c.api.types.money import INT64, Int64
from s2b2c.errors import Refused
from s2b2c.failures import is_database_away, told

logger = logging.getLogger(__name__)


@strawberry.type(description="What is read: each field is a door (入口) for one audience.")
class Query:
    @strawberry.field(permission_classes=[Shopper], description="The door of customers: anybody.")
    def shop(self) -> ShopQuery:
        return ShopQuery()

    @strawberry.field(
        permission_classes=[PartnerDoor],
        graphql_type=PartnerQuery,
        description="The door of distributors and group leaders (团长): a distributor's token.",
    )
    async def partner(self, info: Info) -> Viewer:
        return await info.context.viewer()

    @strawberry.field(
        permission_classes=[BrandDoor], graphql_type=BrandQuery, description="The door of brands: a brand's token."
    )
    async def brand(self, info: Info) -> Viewer:
        return await info.context.viewer()

    @strawberry.field(
        permission_classes=[FinanceDoor],
        graphql_type=FinanceQuery,
        description="The door of finance: a token of the role finance.",
    )
    async def finance(self, info: Info) -> Viewer:
        return await info.context.viewer()

    @strawberry.field(
        permission_classes=[OperatorDoor],
        graphql_type=OperatorQuery,
        description="The door of whoever runs the network: a token of the role operator.",
    )
    async def operator(self, info: Info) -> Viewer:
        return await info.context.viewer()


@strawberry.type(
    description="What is changed. Each answers with what it did or why it did not; then nothing has changed."
)
class Mutation(
    SignInMutation,
    PersonalDataMutation,
    ShopMutation,
    PartnerMutation,
    BrandMutation,
    PricingMutation,
    AllotmentMutation,
    BulkMutation,
    FinanceExportMutation,
    OperatorMutation,
    JobMutation,
    NoticeMutation,
    PayoutMutation,
    SettlingMutation,
    PayingOutMutation,
    ReconciledMutation,
    RankingMutation,
    OwnTailMutation,
    StatementMutation,
    StorefrontMutation,
    OwnProductMutation,
    ReviewMutation,
    RecruitingMutation,
    OffboardingMutation,
    SalesExportMutation,
):
    """The mutations of every door, each with its door beside it."""


class Schema(strawberry.Schema):
    def process_errors(
        self,
        errors: list[GraphQLError],
        execution_context: ExecutionContext | None = None,  # noqa: ARG002
    ) -> None:
        for error in errors:
            cause = error.original_error or error
            code = _told(error)[1]
            logs.note_outcome(code)
            if code in {"UNAVAILABLE", "INTERNAL"}:
                logger.error("at %s: %s", error.path, told(cause))
                logger.debug("at %s", error.path, exc_info=cause)


def published(error: GraphQLError) -> GraphQLError:
    """The error as it leaves the server."""
    message, code = _told(error)
    return GraphQLError(message, error.nodes, error.source, error.positions, error.path, extensions={"code": code})


def _told(error: GraphQLError) -> tuple[str, str]:
    """(message, code): a refusal as it is, what is wrong with the client's document, nothing of what broke inside."""
    cause = error.original_error
    if isinstance(cause, Refused):
        return cause.refusal.message, cause.refusal.code
    if error.path is None and (cause is None or isinstance(cause, GraphQLError)):
        return error.message, (error.extensions or {}).get("code", "BAD_REQUEST")
    if cause is not None and is_database_away(cause):
        return "The database does not answer: try again in a moment.", "UNAVAILABLE"
    return "Something broke on our side; it is in our log.", "INTERNAL"


schema = Schema(
    Query,
    Mutation,
    exception_handlers=HANDLERS,
    config=StrawberryConfig(scalar_map={Int64: INT64}),
    extensions=[Named, Limits],
)
describe(schema._schema)  # noqa: SLF001  what the library built it as; it has no other name there


def sdl() -> str:
    """The text of graphql/schema.graphql."""
    return schema.as_str() + "\n"
