"""Seats to fill, who applied for them, and how they compare."""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, ClassVar

import strawberry

from s2b2c import recruiting
from s2b2c.api.context import Info
from s2b2c.api.types import errors
from s2b2c.api.types.fields import computed
from s2b2c.api.types.ids import encode, id_of
from s2b2c.api.types.money import Int64, Money
from s2b2c.api.types.network import ChangedBy, Distributor, DistributorName, Tier
from s2b2c.db import AnyRow


def _id(kind: str, name: str, description: str) -> Any:
    """The id of something else that a row names; null where it names none."""

    def of(row: Any) -> str | None:
        key = getattr(row, name)
        return None if key is None else encode(kind, key)

    return computed(of, description=description)


@strawberry.type(description="How much each criterion counts when applications are compared; together 10000.")
class SeatWeights:
    experience_bps: Int64 = strawberry.field(description="Of months of experience, in basis points.")
    audience_bps: Int64 = strawberry.field(description="Of members of its communities (群成员), in basis points.")
    output_bps: Int64 = strawberry.field(description="Of what it says it sells in a month, in basis points.")
    review_bps: Int64 = strawberry.field(description="Of what an operator thinks of it, in basis points.")


@strawberry.input(description="How much each criterion counts, in basis points; together 10000.")
class SeatWeightsInput:
    experience_bps: int = strawberry.field(description="Of months of experience.")
    audience_bps: int = strawberry.field(description="Of members of its communities (群成员).")
    output_bps: int = strawberry.field(description="Of what it says it sells in a month.")
    review_bps: int = strawberry.field(description="Of what an operator thinks of it.")

    def weights(self) -> recruiting.Weights:
        return recruiting.Weights(self.experience_bps, self.audience_bps, self.output_bps, self.review_bps)


@strawberry.type(description="Places in the network that you may apply for; joining costs nothing.")
class OpenSeat:
    id: strawberry.ID = id_of("seat")
    tier_name: str = computed(lambda row: row.tier.name, description="Of the tier (层级) on which one stands then.")
    region: str = strawberry.field(description="Where one sells then.")
    open_places: Int64 = computed(lambda row: row.places - row.taken, description="How many are left.")
    closes_at: datetime | None = strawberry.field(description="From then on nobody can apply; null for no such time.")
    needs_code: bool = strawberry.field(description="Whether one needs the code (邀请码) of somebody who invites.")
    weights: SeatWeights = computed(lambda row: row, description="By which applications are compared.")


@strawberry.enum(description="What has come of an application.")
class ApplicationState(Enum):
    SUBMITTED = strawberry.enum_value("submitted", description="It waits.")
    WITHDRAWN = strawberry.enum_value("withdrawn", description="Its person took it back, or was erased.")
    APPROVED = strawberry.enum_value("approved", description="Its person acts for a new distributor.")
    REJECTED = strawberry.enum_value("rejected", description="The platform turned it down, for the reason it gives.")


@strawberry.type(description="What you applied for, and what came of it.")
class OwnApplication:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("seat-application")
    seat: strawberry.ID = _id("seat", "seat_id", "The `id` of the seat that it waits for, or was decided on.")
    tier_name: str = computed(lambda row: row.tier.name, description="Of the tier (层级) of the seat.")
    seat_region: str = computed(lambda row: row.seat.region, description="Where one sells then.")
    name: str | None = computed(lambda row: row.legal_name, description="As you told it.")
    region: str | None = strawberry.field(description="Where you are, as you told it.")
    introduction: str | None = strawberry.field(description="As you told it.")
    experience_months: Int64 = strawberry.field(description="As you told it.")
    audience: Int64 = strawberry.field(description="As you told it.")
    declared_output: Money = strawberry.field(description="What you sell in a month, as you told it.")
    state: ApplicationState
    submitted_at: datetime = strawberry.field(description="When you applied.")
    decided_at: datetime | None = strawberry.field(description="Null while it waits.")
    reason: str | None = strawberry.field(description="Why it was approved or rejected.")


@strawberry.input(description="What you tell of yourself to become a distributor. It costs nothing.")
class ApplyForSeatInput:
    seat: strawberry.ID = strawberry.field(description="The `id` of the open seat.")
    code: str | None = strawberry.field(default=None, description="Of who invites you; some seats need one.")
    name: str = strawberry.field(description="Yours: 1 to 50 characters.")
    region: str = strawberry.field(description="Where you are: 1 to 100 characters.")
    introduction: str = strawberry.field(description="Who you are and what you have done: 1 to 1000 characters.")
    experience_months: int = strawberry.field(description="How long you have sold: 0 to 1200 months.")
    audience: Int64 = strawberry.field(description="How many members your communities have (群成员数).")
    declared_output: Int64 = strawberry.field(description="What you sell in a month, in fen.")
    agrees: bool = strawberry.field(description="That the platform keeps and reads this; else nobody applies.")

    def application(self) -> recruiting.NewApplication:
        return recruiting.NewApplication(
            self.name,
            self.region,
            self.introduction,
            self.experience_months,
            self.audience,
            self.declared_output,
            self.agrees,
        )


@strawberry.type(
    description="A code to apply with that you gave out (邀请码). It says who invited; no reward is attached."
)
class OwnRecruitingCode:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("recruiting-code")
    code: str = strawberry.field(description="What the other types in; it is unique.")
    seat: strawberry.ID | None = _id("seat", "seat_id", "The `id` of the seat it is for alone; null for any.")
    created_at: datetime
    revoked_at: datetime | None = strawberry.field(description="Nobody can apply with it since; null while one can.")
    applications: Int64 = strawberry.field(description="How many applied with it. Nothing is paid or ranked by this.")


@strawberry.type(description="A code to apply with (邀请码). It says who invited; no reward is attached.")
class RecruitingCode(OwnRecruitingCode):
    inviter: DistributorName | None = computed(lambda row: row.distributor, description="Null for the platform.")


@strawberry.enum(description="What a new distributor has to do until it sells.")
class OnboardingTask(Enum):
    PAYEE_TOLD = strawberry.enum_value("payee_told", description="Tell to whom its money goes (收款人).")
    STORE_OPEN = strawberry.enum_value("store_open", description="Have a store that is open.")
    FIRST_LISTING = strawberry.enum_value("first_listing", description="Choose a product for a store (选品).")
    FIRST_SALE = strawberry.enum_value("first_sale", description="Have an order of its customers paid.")


@strawberry.type(description="A step of a new distributor: the facts themselves say whether it is done.")
class OnboardingStep:
    task: OnboardingTask = computed(lambda row: OnboardingTask(row.step), description="What is to be done.")
    is_done: bool = strawberry.field(description="Whether it is so now.")
    at: datetime | None = strawberry.field(description="Since when; null while it is not done, and where nobody knows.")


@strawberry.type(description="Places to fill on a tier in a region.")
class Seat:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("seat")
    tier: Tier
    region: str = strawberry.field(description="Where one sells then.")
    parent: DistributorName | None = strawberry.field(
        description="Below whom one stands; null for below who invited, or nobody."
    )
    places: Int64 = strawberry.field(description="How many there are.")
    taken: Int64 = strawberry.field(description="How many applications were approved on it; never more than places.")
    waiting: Int64 = strawberry.field(description="How many applications wait for it.")
    opens_at: datetime = strawberry.field(description="From then on one can apply.")
    closes_at: datetime | None = strawberry.field(description="From then on nobody can; null for no such time.")
    needs_code: bool = strawberry.field(description="Whether one needs the code (邀请码) of somebody who invites.")
    weights: SeatWeights = computed(lambda row: row, description="By which applications are compared.")
    weights_version: Int64 = strawberry.field(description="Counts from 1; fixed once somebody has applied.")
    created_at: datetime
    closed_at: datetime | None = strawberry.field(description="When somebody closed it; null before.")
    close_reason: str | None = strawberry.field(description="Why it was closed; null before.")


@strawberry.input(description="Places to fill.")
class OpenSeatInput:
    tier: strawberry.ID = strawberry.field(description="The `id` of the tier (层级).")
    region: str = strawberry.field(description="1 to 200 characters.")
    places: int = strawberry.field(description="How many: 1 to 1000.")
    weights: SeatWeightsInput = strawberry.field(description="By which applications are compared.")
    parent: strawberry.ID | None = strawberry.field(
        default=None, description="The `id` of the distributor below whom one stands; of who invites when left out."
    )
    opens_at: datetime | None = strawberry.field(default=None, description="Now when left out.")
    closes_at: datetime | None = strawberry.field(default=None, description="The first moment at which it is over.")
    needs_code: bool = strawberry.field(default=False, description="Whether one needs the code of who invites.")


@strawberry.type(description="A tier and region where somebody is missing: where an elimination left a hole.")
class Vacancy:
    tier: Tier
    region: str
    active: Int64 = strawberry.field(description="Distributors who are active or on watch there.")
    gone: Int64 = strawberry.field(description="Those whom these days suspended or eliminated, and who are so still.")
    open_places: Int64 = strawberry.field(description="Places of seats that one can apply for now.")
    waiting: Int64 = strawberry.field(description="Applications that wait for seats there.")


@strawberry.enum(description="By what applications are compared.")
class ApplicationCriterion(Enum):
    EXPERIENCE_MONTHS = strawberry.enum_value("experience_months", description="How long it has sold.")
    AUDIENCE = strawberry.enum_value("audience", description="How many members its communities have (群成员数).")
    DECLARED_OUTPUT = strawberry.enum_value("declared_output", description="What it sells in a month, in fen.")
    REVIEW = strawberry.enum_value("review", description="What an operator thinks of it, 0 to 100; 0 before.")


@strawberry.enum(description="A number that somebody told of itself and the platform can check.")
class VerifiedCriterion(Enum):
    EXPERIENCE_MONTHS = strawberry.enum_value("experience_months", description="How long it has sold.")
    AUDIENCE = strawberry.enum_value("audience", description="How many members its communities have (群成员数).")
    DECLARED_OUTPUT = strawberry.enum_value("declared_output", description="What it sells in a month, in fen.")


@strawberry.type(description="An application as a list shows it: numbers are declared, unless somebody verified them.")
class SeatApplication:
    is_type_of: ClassVar[Any] = classmethod(errors.done)

    id: strawberry.ID = id_of("seat-application")
    seat: strawberry.ID = _id("seat", "seat_id", "The `id` of the seat.")
    masked_name: str | None = computed(
        lambda row: row.legal_name, description="Its first letter; null once the person was erased."
    )
    experience_months: Int64 = strawberry.field(description="Declared.")
    audience: Int64 = strawberry.field(description="Members of its communities (群成员数), declared.")
    declared_output: Money = strawberry.field(description="What it sells in a month, declared.")
    verified_experience_months: Int64 | None = strawberry.field(description="Counts instead; null where nobody did.")
    verified_audience: Int64 | None = strawberry.field(description="Counts instead; null where nobody did.")
    verified_output: Money | None = strawberry.field(description="Counts instead; null where nobody did.")
    review: Int64 | None = strawberry.field(description="What an operator thinks of it, 0 to 100; null before.")
    state: ApplicationState
    submitted_at: datetime = strawberry.field(description="When it came.")
    decided_at: datetime | None = strawberry.field(description="Null while it waits.")
    reason: str | None = strawberry.field(description="Why it was approved or rejected.")
    distributor: strawberry.ID | None = _id("distributor", "distributor_id", "The `id` of the one made of it.")


@strawberry.type(description="What one criterion adds to a score.")
class CriterionShare:
    criterion: ApplicationCriterion = computed(
        lambda row: ApplicationCriterion(row.criterion), description="Which one it is."
    )
    value: Int64 = strawberry.field(description="What counts: verified, or else declared.")
    is_verified: bool = strawberry.field(description="Whether somebody of the platform found it out.")
    rank: Int64 = strawberry.field(description="Its place among all that wait, 1 for the best.")
    share_bps: Int64 = strawberry.field(description="10000 x (2 x worse + equal) // (2 x (n - 1)); alone 5000.")
    weight_bps: Int64 = strawberry.field(description="How much that counts.")


@strawberry.type(description="An application that waits, and where it stands among those that do.")
class RankedApplication:
    position: Int64 = strawberry.field(description="1 for the best; of equal scores who came first.")
    total: Int64 = strawberry.field(description="How many wait for the seat.")
    score: Int64 = strawberry.field(description="The weighted sum of its shares // 10000.")
    weights_version: Int64 = strawberry.field(description="Of the weights by which it is.")
    criteria: list[CriterionShare] = strawberry.field(description="What the score is made of.")
    application: SeatApplication = computed(lambda row: row.row, description="What it is.")


@strawberry.enum(description="What was done with an application.")
class ApplicationEventKind(Enum):
    SUBMITTED = strawberry.enum_value("submitted", description="It came.")
    VERIFIED = strawberry.enum_value("verified", description="A number was found out, or taken away again.")
    REVIEWED = strawberry.enum_value("reviewed", description="An operator rated it.")
    MOVED = strawberry.enum_value("moved", description="It waits for another seat.")
    WITHDRAWN = strawberry.enum_value("withdrawn", description="Its person took it back, or was erased.")
    APPROVED = strawberry.enum_value("approved", description="A distributor was made of it.")
    REJECTED = strawberry.enum_value("rejected", description="It was turned down.")
    MEMBER_REMOVED = strawberry.enum_value("member_removed", description="Its person acts for the distributor no more.")


def _fact(name: str, description: str) -> Any:
    return computed(lambda row: row.facts.get(name), description=description)


@strawberry.type(description="One thing that was done with an application.")
class SeatApplicationEvent:
    kind: ApplicationEventKind = computed(
        lambda row: ApplicationEventKind(row.kind), description="Which of its kinds it is; each says what it means."
    )
    at: datetime = strawberry.field(description="When.")
    reason: str | None
    criterion: ApplicationCriterion | None = computed(
        lambda row: ApplicationCriterion(row.facts["criterion"]) if "criterion" in row.facts else None,
        description="Of VERIFIED and REVIEWED: which number.",
    )
    value: Int64 | None = _fact("value", "Of VERIFIED and REVIEWED: what it is; null where it was taken away.")
    score: Int64 | None = _fact("score", "Of APPROVED, REJECTED and MOVED: what it was then.")
    position: Int64 | None = _fact("position", "Where it stood then, from 1.")
    total: Int64 | None = _fact("total", "Among how many it stood.")
    by: ChangedBy | None = strawberry.field(description="Who did it; null where its person was erased.")


@strawberry.type(description="An application in plain, with all that was done with it. Reading it goes on record.")
class SeatApplicationDetail(SeatApplication):
    id: strawberry.ID = id_of("seat-application")
    masked_name: str | None = computed(
        lambda row: None if row.legal_name is None else f"{row.legal_name[:1]}**",
        description="Its first letter; null once the person was erased.",
    )
    name: str | None = computed(lambda row: row.legal_name, description="In full; null once the person was erased.")
    region: str | None = strawberry.field(description="Where it is; null once the person was erased.")
    introduction: str | None = strawberry.field(description="In its own words; null once the person was erased.")
    customer: strawberry.ID | None = _id(
        "customer", "customer_id", "The customer that it is: `customer` looks up its phone, on record."
    )
    inviter: DistributorName | None = strawberry.field(description="With whose code it came; null for the platform's.")

    @strawberry.field(graphql_type=list[SeatApplicationEvent], description="The last 200, the first first.")
    @staticmethod
    async def events(root: strawberry.Parent[Any], info: Info) -> Sequence[AnyRow]:
        async with info.context.db.read() as session:
            return await recruiting.events(session, root.id)


@strawberry.input(description="Whom to approve, and how the distributor is called that is made of it.")
class ApproveApplicationInput:
    application: strawberry.ID = strawberry.field(description="The `id` of the application.")
    name: str = strawberry.field(description="How everybody calls the distributor: 1 to 200 characters.")
    code: str | None = strawberry.field(default=None, description="1 to 64 characters; made up when left out.")
    parent: strawberry.ID | None = strawberry.field(
        default=None, description="The `id` of who stands right above it; the seat's, or who invited, when left out."
    )
    reason: str = strawberry.field(description="Its person reads it.")


Refusals = errors.BadArgument | errors.NotFound | errors.WrongState
ApplyForSeatResult = Annotated[
    OwnApplication
    | errors.BadArgument
    | errors.NotFound
    | errors.WrongState
    | errors.AlreadyTaken
    | errors.TooManyRequests,
    strawberry.union("ApplyForSeatResult"),
]
WithdrawApplicationResult = Annotated[OwnApplication | Refusals, strawberry.union("WithdrawApplicationResult")]
MakeRecruitingCodeResult = Annotated[
    OwnRecruitingCode | Refusals | errors.TooManyRequests, strawberry.union("MakeRecruitingCodeResult")
]
RevokeRecruitingCodeResult = Annotated[OwnRecruitingCode | Refusals, strawberry.union("RevokeRecruitingCodeResult")]
MakePlatformCodeResult = Annotated[
    RecruitingCode | Refusals | errors.TooManyRequests, strawberry.union("MakePlatformCodeResult")
]
RevokeAnyCodeResult = Annotated[RecruitingCode | Refusals, strawberry.union("RevokeAnyCodeResult")]
OpenSeatResult = Annotated[Seat | Refusals, strawberry.union("OpenSeatResult")]
ChangeSeatWeightsResult = Annotated[Seat | Refusals, strawberry.union("ChangeSeatWeightsResult")]
CloseSeatResult = Annotated[Seat | Refusals, strawberry.union("CloseSeatResult")]
VerifyApplicationResult = Annotated[SeatApplication | Refusals, strawberry.union("VerifyApplicationResult")]
ReviewApplicationResult = Annotated[SeatApplication | Refusals, strawberry.union("ReviewApplicationResult")]
RejectApplicationResult = Annotated[SeatApplication | Refusals, strawberry.union("RejectApplicationResult")]
MoveApplicationResult = Annotated[
    SeatApplication | Refusals | errors.AlreadyTaken, strawberry.union("MoveApplicationResult")
]
ApproveApplicationResult = Annotated[
    Distributor | Refusals | errors.AlreadyTaken, strawberry.union("ApproveApplicationResult")
]
