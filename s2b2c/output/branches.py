"""What the branches of the network sold."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from s2b2c.models import Tier

# The direct downline that a member stands below is in its ancestors right before the one who asks.
_BY_BRANCH = text(
    """
    WITH member AS (
        SELECT d.id, d.ancestors[cardinality(d.ancestors) - cardinality(top.ancestors)] AS child_id
        FROM distributors top JOIN distributors d ON d.ancestors @> ARRAY[top.id] AND d.id <> top.id
        WHERE top.id = :distributor_id AND d.state NOT IN ('applied', 'rejected')
    ), branch AS (
        SELECT member.child_id, count(*) AS members,
               coalesce(sum(sold.output), 0)::bigint AS output, coalesce(sum(sold.orders), 0)::bigint AS orders
        FROM member
        CROSS JOIN LATERAL (
            SELECT sum(s.paid - s.refunded) AS output, sum(s.orders) AS orders
            FROM daily_sellers s
            WHERE s.seller_id = member.id AND s.day >= CAST(:start AS date) AND s.day < CAST(:end AS date)
        ) AS sold
        GROUP BY member.child_id
    )
    SELECT d.id, d.code, d.name, d.state, t.id AS tier_id, t.code AS tier_code, t.rank AS tier_rank,
           t.name AS tier_name, t.is_leader, branch.members, branch.output, branch.orders
    FROM branch JOIN distributors d ON d.id = branch.child_id JOIN tiers t ON t.id = d.tier_id
    WHERE CAST(:last_output AS bigint) IS NULL OR (-branch.output, d.id) > (-:last_output, CAST(:last_id AS bigint))
    ORDER BY branch.output DESC, d.id
    LIMIT :limit
    """
)


class Downline(NamedTuple):
    id: int
    code: str
    name: str


class BranchOutput(NamedTuple):
    """A direct downline, and the total of it with everybody below it. Output is fen."""

    distributor: Downline
    tier: Tier
    state: str
    members: int
    output: int
    orders: int


async def by_branch(
    session: AsyncSession, distributor_id: int, *, start: date, end: date, after: tuple[int, ...] | None, limit: int
) -> Sequence[BranchOutput]:
    """What the branches right below a distributor sold in [start, end), most output first; `after` is an (output, id).

    Members are those who were ever approved. One total for each branch is all that an upline may see (domain: 11).
    """
    last_output, last_id = after or (None, None)
    rows = await session.execute(
        _BY_BRANCH,
        {
            "distributor_id": distributor_id,
            "start": start,
            "end": end,
            "last_output": last_output,
            "last_id": last_id,
            "limit": limit,
        },
    )
    return [
        BranchOutput(
            Downline(row.id, row.code, row.name),
            Tier(id=row.tier_id, code=row.tier_code, rank=row.tier_rank, name=row.tier_name, is_leader=row.is_leader),
            row.state,
            row.members,
            row.output,
            row.orders,
        )
        for row in rows
    ]
