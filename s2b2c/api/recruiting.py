"""How the network gets new distributors, at the doors of who applies, who invites and who decides."""

from typing import Annotated, Any

import strawberry

from s2b2c import models, network, privacy, recruiting
from s2b2c.accounts import Viewer
from s2b2c.api.access import CustomerDoor, OperatorDoor, PartnerDoor
from s2b2c.api.connections import DEFAULT_FIRST, Connection, Page
from s2b2c.api.context import Info
from s2b2c.api.privacy import reader_of
from s2b2c.api.types import recruiting as types
from s2b2c.api.types.ids import key_of
from s2b2c.api.types.money import Int64
from s2b2c.api.types.network import moment
from s2b2c.db import AnyRow
from s2b2c.errors import Refused, WrongState

ApplicationId = Annotated[strawberry.ID, strawberry.argument(description="The `id` of the application.")]
SeatId = Annotated[strawberry.ID, strawberry.argument(description="The `id` of the seat.")]
ForSeat = Annotated[
    strawberry.ID | None, strawberry.argument(description="The `id` of the seat it is for alone; any when left out.")
]
DAYS = 90
"""What `vacancies` looks back on when nobody says."""


def _optional(kind: str, id_: strawberry.ID | None) -> int | None:
    return None if id_ is None else key_of(kind, id_)


async def _person(info: Info) -> tuple[int, Viewer]:
    """Who applies. Raises Refused(WrongState) for a guest: nobody would know whom to answer."""
    viewer = await info.context.viewer()
    if viewer.person_id is None:
        raise Refused(WrongState("Nobody knows who you are: sign in with your phone or WeChat, then apply."))
    return viewer.person_id, viewer


@strawberry.type
class OpenSeats:
    """The fields of the door at which people apply."""

    @strawberry.field(
        graphql_type=Connection[types.OpenSeat],
        description="Places in the network that one can apply for now, newest first. Joining costs nothing.",
    )
    @staticmethod
    async def open_seats(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("open-seat", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await recruiting.seats(
                session, open_only=True, now=info.context.clock(), after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        permission_classes=[CustomerDoor],
        graphql_type=Connection[types.OwnApplication],
        description="What you applied for and what came of it, newest first; none before you sign in.",
    )
    @staticmethod
    async def my_applications(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("my-application", first, after, key_length=1)
        person_id = (await info.context.viewer()).person_id
        if person_id is None:
            return page.connection([], lambda row: (row.id,))
        async with info.context.db.read() as session:
            rows = await recruiting.own_applications(session, person_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))


@strawberry.type
class Inviting:
    """The fields of the door of distributors."""

    @strawberry.field(
        graphql_type=Connection[types.OwnRecruitingCode],
        description="Codes that you gave out so that others apply (邀请码), newest first. No reward is attached.",
    )
    @staticmethod
    async def recruiting_codes(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("own-recruiting-code", first, after, key_length=1)
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            rows = await recruiting.codes(session, distributor_id=distributor_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=list[types.OnboardingStep], description="What is left to do until you sell, in its order."
    )
    @staticmethod
    async def onboarding(info: Info) -> Any:
        distributor_id = await info.context.distributor_id()
        async with info.context.db.read() as session:
            return await recruiting.onboarding(session, distributor_id)


@strawberry.type
class Recruiting:
    """The fields of the door that recruits."""

    @strawberry.field(
        graphql_type=Connection[types.Vacancy],
        description="Where somebody is missing, by tier and region: where most were suspended or eliminated in the "
        "last `days` first. With the places that are open there and who waits for them.",
    )
    @staticmethod
    async def vacancies(
        info: Info,
        days: Annotated[int, strawberry.argument(description="How far it looks back: 1 to 3660.")] = DAYS,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("vacancy", first, after, key_length=3)
        async with info.context.db.read() as session:
            rows = await recruiting.vacancies(
                session, days=days, now=info.context.clock(), after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: row.key)

    @strawberry.field(graphql_type=Connection[types.Seat], description="Places to fill, newest first.")
    @staticmethod
    async def seats(
        info: Info,
        open_only: Annotated[bool, strawberry.argument(description="Those that one can apply for now alone.")] = False,  # noqa: FBT002
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page = Page("seat", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await recruiting.seats(
                session, open_only=open_only, now=info.context.clock(), after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=Connection[types.RankedApplication],
        description="Who waits for a seat, the best first, and why. Of each criterion the rank share among those who "
        "wait, weighed by the seat; of equal scores who came first.",
    )
    @staticmethod
    async def ranked_applications(
        info: Info, seat: SeatId, first: int = DEFAULT_FIRST, after: str | None = None
    ) -> Connection[Any]:
        page, seat_id = Page("ranked-application", first, after, key_length=3), key_of("seat", seat)
        async with info.context.db.read() as session:
            rows = await recruiting.ranked(session, seat_id, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.score, row.submitted_us, row.id))

    @strawberry.field(
        graphql_type=Connection[types.SeatApplication], description="Applications for seats, newest first."
    )
    @staticmethod
    async def seat_applications(
        info: Info,
        seat: Annotated[strawberry.ID | None, strawberry.argument(description="For this one; for any if null.")] = None,
        state: types.ApplicationState | None = None,
        first: int = DEFAULT_FIRST,
        after: str | None = None,
    ) -> Connection[Any]:
        page, seat_id = Page("seat-application", first, after, key_length=1), _optional("seat", seat)
        wanted: Any = None if state is None else state.value
        async with info.context.db.read() as session:
            rows = await recruiting.applications(
                session, seat_id=seat_id, state=wanted, after=page.after, limit=page.limit
            )
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=types.SeatApplicationDetail | None,
        description="One application in plain; null when there is none. That you read it goes on record.",
    )
    @staticmethod
    async def seat_application(info: Info, id: ApplicationId) -> AnyRow | None:  # noqa: A002  the argument's name
        key = key_of("seat-application", id)
        reader = reader_of(await info.context.viewer())
        async with info.context.db.write() as session:
            row = await recruiting.application(session, key)
            if row is not None and row.legal_name is not None:
                read = privacy.Read({"legal_name", "region", "introduction"}, row.customer_id, row.person_id)
                await privacy.record(session, reader, "recruiting", [read], at=info.context.clock())
            return row

    @strawberry.field(
        graphql_type=Connection[types.RecruitingCode],
        description="Codes to apply with (邀请码) of distributors and of the platform, newest first.",
    )
    @staticmethod
    async def recruiting_codes(info: Info, first: int = DEFAULT_FIRST, after: str | None = None) -> Connection[Any]:
        page = Page("recruiting-code", first, after, key_length=1)
        async with info.context.db.read() as session:
            rows = await recruiting.codes(session, distributor_id=None, after=page.after, limit=page.limit)
        return page.connection(rows, lambda row: (row.id,))

    @strawberry.field(
        graphql_type=list[types.OnboardingStep],
        description="What a distributor has done of what a newcomer has to do, in its order.",
    )
    @staticmethod
    async def onboarding(info: Info, distributor: strawberry.ID) -> Any:
        key = key_of("distributor", distributor)
        async with info.context.db.read() as session:
            return await recruiting.onboarding(session, key)


@strawberry.type
class RecruitingMutation:
    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=types.ApplyForSeatResult,
        description="Apply for a place in the network. It costs nothing; the platform decides, and myApplications "
        "tells you what and why.",
    )
    async def apply_for_seat(self, info: Info, input: types.ApplyForSeatInput) -> AnyRow:  # noqa: A002
        seat_id = key_of("seat", input.seat)
        person_id, viewer = await _person(info)
        async with info.context.db.write() as session:
            key = await recruiting.submit(
                session,
                person_id,
                seat_id,
                input.application(),
                code=input.code,
                account_id=viewer.account_id,
                now=info.context.clock(),
            )
            return await recruiting.own_application(session, person_id, key)

    @strawberry.mutation(
        permission_classes=[CustomerDoor],
        graphql_type=types.WithdrawApplicationResult,
        description="Take an application of yours back that waits.",
    )
    async def withdraw_application(self, info: Info, id: ApplicationId) -> AnyRow:  # noqa: A002
        key = key_of("seat-application", id)
        person_id, viewer = await _person(info)
        async with info.context.db.write() as session:
            await recruiting.withdraw(session, person_id, key, account_id=viewer.account_id, now=info.context.clock())
            return await recruiting.own_application(session, person_id, key)

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=types.MakeRecruitingCodeResult,
        description="Get a code (邀请码) with which others apply for places below you. It says that you invited them; "
        "no reward is attached, and it counts in no ranking.",
    )
    async def make_recruiting_code(self, info: Info, seat: ForSeat = None) -> AnyRow:
        return await _make_code(info, seat, await info.context.distributor_id())

    @strawberry.mutation(
        permission_classes=[PartnerDoor],
        graphql_type=types.RevokeRecruitingCodeResult,
        description="Let nobody apply with a code of yours any more.",
    )
    async def revoke_recruiting_code(self, info: Info, id: strawberry.ID) -> AnyRow:  # noqa: A002
        return await _revoke_code(info, id, await info.context.distributor_id())

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.MakePlatformCodeResult,
        description="Get a code (邀请码) of the platform with which others apply.",
    )
    async def make_platform_code(self, info: Info, seat: ForSeat = None) -> AnyRow:
        return await _make_code(info, seat, None)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.RevokeAnyCodeResult,
        description="Let nobody apply with a code any more, whoever gave it out.",
    )
    async def revoke_any_code(self, info: Info, id: strawberry.ID) -> AnyRow:  # noqa: A002
        return await _revoke_code(info, id, None)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.OpenSeatResult,
        description="Let people apply for places on a tier in a region.",
    )
    async def open_seat(self, info: Info, input: types.OpenSeatInput) -> AnyRow | None:  # noqa: A002
        viewer, now = await info.context.viewer(), info.context.clock()
        new = recruiting.NewSeat(
            key_of("tier", input.tier),
            input.region,
            input.places,
            input.weights.weights(),
            now if input.opens_at is None else moment(input.opens_at),
            None if input.closes_at is None else moment(input.closes_at),
            _optional("distributor", input.parent),
            input.needs_code,
        )
        async with info.context.db.write() as session:
            seat = await recruiting.open_seat(session, new, account_id=viewer.account_id, now=now)
            return await recruiting.seat_row(session, seat.id)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.ChangeSeatWeightsResult,
        description="Compare applications for a seat by other weights: a new version. Once somebody has applied they "
        "stay as they are.",
    )
    async def change_seat_weights(
        self,
        info: Info,
        seat: SeatId,
        weights: Annotated[types.SeatWeightsInput, strawberry.argument(description="All of them.")],
    ) -> AnyRow | None:
        key = key_of("seat", seat)
        async with info.context.db.write() as session:
            await recruiting.change_weights(session, key, weights.weights())
            return await recruiting.seat_row(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.CloseSeatResult,
        description="Let nobody apply for a seat any more, nor be approved on it. Who waits for it can be moved to "
        "another one, or rejected.",
    )
    async def close_seat(self, info: Info, seat: SeatId, reason: str) -> AnyRow | None:
        viewer, key = await info.context.viewer(), key_of("seat", seat)
        async with info.context.db.write() as session:
            await recruiting.close_seat(session, key, reason, account_id=viewer.account_id, now=info.context.clock())
            return await recruiting.seat_row(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.VerifyApplicationResult,
        description="Put what you found out beside what somebody declared: it counts instead.",
    )
    async def verify_application(
        self,
        info: Info,
        id: ApplicationId,  # noqa: A002
        criterion: Annotated[types.VerifiedCriterion, strawberry.argument(description="Which number.")],
        reason: str,
        number: Annotated[
            Int64 | None, strawberry.argument(description="What it is; the declared one counts again if null.")
        ] = None,
    ) -> AnyRow:
        viewer, key = await info.context.viewer(), key_of("seat-application", id)
        which: Any = criterion.value
        async with info.context.db.write() as session:
            await recruiting.verify(
                session, key, which, number, reason, account_id=viewer.account_id, now=info.context.clock()
            )
            return await recruiting.application_row(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.ReviewApplicationResult,
        description="Say what you think of an application; the newest counts.",
    )
    async def review_application(
        self,
        info: Info,
        id: ApplicationId,  # noqa: A002
        rating: Annotated[int, strawberry.argument(description="0 to 100.")],
        comment: Annotated[str, strawberry.argument(description="Why: 1 to 200 characters.")],
    ) -> AnyRow:
        viewer, key = await info.context.viewer(), key_of("seat-application", id)
        async with info.context.db.write() as session:
            await recruiting.review(
                session, key, rating, comment, account_id=viewer.account_id, now=info.context.clock()
            )
            return await recruiting.application_row(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.RejectApplicationResult,
        description="Turn an application down. Its person reads the reason, and may apply again.",
    )
    async def reject_application(self, info: Info, id: ApplicationId, reason: str) -> AnyRow:  # noqa: A002
        viewer, key = await info.context.viewer(), key_of("seat-application", id)
        async with info.context.db.write() as session:
            await recruiting.reject(session, key, reason, account_id=viewer.account_id, now=info.context.clock())
            return await recruiting.application_row(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.MoveApplicationResult,
        description="Let an application wait for another open seat of the same tier and region, as of when it came.",
    )
    async def move_application(self, info: Info, id: ApplicationId, seat: SeatId, reason: str) -> AnyRow:  # noqa: A002
        viewer, key, seat_id = await info.context.viewer(), key_of("seat-application", id), key_of("seat", seat)
        async with info.context.db.write() as session:
            await recruiting.move_application(
                session, key, seat_id, reason, account_id=viewer.account_id, now=info.context.clock()
            )
            return await recruiting.application_row(session, key)

    @strawberry.mutation(
        permission_classes=[OperatorDoor],
        graphql_type=types.ApproveApplicationResult,
        description="Give a place of its seat to an application: its person acts for a new distributor from now on, "
        "active at once, whose days of grace begin today. A seat never has more than its places.",
    )
    async def approve_application(
        self,
        info: Info,
        input: types.ApproveApplicationInput,  # noqa: A002
    ) -> network.Standing:
        viewer, key = await info.context.viewer(), key_of("seat-application", input.application)
        approval = recruiting.Approval(input.name, input.code, _optional("distributor", input.parent))
        async with info.context.db.write() as session:
            return await recruiting.approve(
                session,
                key,
                approval,
                reason=input.reason,
                account_id=viewer.account_id,
                now=info.context.clock(),
            )


async def _make_code(info: Info, seat: strawberry.ID | None, distributor_id: int | None) -> AnyRow:
    viewer, seat_id = await info.context.viewer(), _optional("seat", seat)
    async with info.context.db.write() as session:
        code: models.RecruitingCode = await recruiting.make_code(
            session,
            seat_id=seat_id,
            distributor_id=distributor_id,
            account_id=viewer.account_id,
            now=info.context.clock(),
        )
        return await recruiting.code_row(session, code.id)


async def _revoke_code(info: Info, id_: strawberry.ID, distributor_id: int | None) -> AnyRow:
    viewer, key = await info.context.viewer(), key_of("recruiting-code", id_)
    async with info.context.db.write() as session:
        await recruiting.revoke_code(
            session, key, distributor_id=distributor_id, account_id=viewer.account_id, now=info.context.clock()
        )
        return await recruiting.code_row(session, key)
