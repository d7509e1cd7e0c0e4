"""What `node` of each door reads again by an id: what that door shows its viewer, and nothing else (Relay)."""

from typing import Any

import pytest
from graphql import build_schema, is_object_type
from graphql.type import assert_interface_type

from s2b2c.api.schema import sdl
from s2b2c.api.types.ids import encode, parts
from s2b2c.db import MAX_INT64
from tests.api.client import Api
from tests.api.doors import OTHERS, WHO, lived_in
from tests.api.operations import check

ROLES = {"shop": "customer", "partner": "distributor", "brand": "brand", "finance": "finance", "operator": "operator"}
"""Who enters each door."""
LISTS = {
    "ShopNode": """{ shop { store(slug: "hangzhou") { __typename id
        listings(first: 2) { edges { node { __typename id } } } } } }""",
    "CustomerNode": """{ shop { me { orders(first: 2) { edges { node { __typename id } } }
        addresses { edges { node { __typename id } } } } } }""",
    "PartnerNode": """{ partner { stores { edges { node { __typename id } } } notices { edges { node { __typename id } } }
        catalogue(first: 2) { edges { node { __typename id } } } orders(first: 2) { edges { node { __typename id } } }
        statements { edges { node { __typename id } } }
        earnings { byOrder(first: 2) { edges { node { __typename id } } } } } }""",
    "BrandNode": """{ brand { products(first: 2) { edges { node { __typename id } } }
        supplyOrders(state: ALL, first: 2) { edges { node { __typename id } } }
        statements { edges { node { __typename id } } } notices { edges { node { __typename id } } }
        imports { edges { node { __typename id } } } exports { edges { node { __typename id } } }
        salesExports { edges { node { __typename id } } } } }""",
    "FinanceNode": """{ finance { payouts(run: "RUN", first: 2) { edges { node { __typename id } } }
        railBreaks { edges { node { __typename id } } } runs { edges { node { __typename id
            statements(payee: BRAND, first: 2) { edges { node { __typename id } } } } } }
        exports { edges { node { __typename id } } }
        trialBalance { accounts(first: 3) { edges { node { __typename id } } } } } }""".replace(
        "RUN", encode("settlement-run", 1)
    ),
    "OperatorNode": """{ operator { brands(first: 2) { edges { node { __typename id } } }
        stores(first: 2) { edges { node { __typename id } } } heldJobs { edges { node { __typename id } } }
        salesExports { edges { node { __typename id } } }
        distributors(first: 2) { edges { node { __typename id } } } plans { edges { node { __typename id } } } } }""",
}
FULL = {"Distributor": "DistributorDetail", "Plan": "PlanDetail"}
"""What a list shows less of than `node` does."""
OPERATIONS = {
    "ShopNode": "shop/Node",
    "CustomerNode": "shop/OwnNode",
    "PartnerNode": "partner/Node",
    "BrandNode": "brand/Node",
    "FinanceNode": "finance/Node",
    "OperatorNode": "operator/Node",
}
MENTIONS = {
    *("AddressRemoved", "JobRetried", "RefundAsked", "Adjustment"),  # what a mutation says it has done
    *("Brand", "Product", "Store", "DistributorName", "Distributor", "UplineMember", "SimulatedDistributor"),
    *(
        "Plan",
        "SettlementRun",
        "LedgerAccount",
        "Tier",
        "TierInUse",
        "ChangedBy",
        "BoundCustomer",
        "Membership",
    ),  # less of something
    *("Variant", "OfferedVariant", "SupplyVariant", "OwnListing", "ExplainedCommission", "OrderLife", "Payment"),
    "PriceChange",  # read with its variant
    *("Elimination", "EliminationDetail", "ClosedStore", "MovedDownline", "EliminationStatement"),  # read in lists
    *(
        "Dispute",
        "FullDispute",
        "Adjustment",
        "FullAdjustment",
        "NamedPayee",
        "WriteOff",
        "RailReport",
    ),  # read in lists
    *("ProductRevision", "ProductReview", "ProductRelisted", "PlatformProduct", "StockLevel"),
    *("Seat", "OpenSeat", "RecruitingCode", "OwnRecruitingCode"),
    *("OwnApplication", "SeatApplication", "SeatApplicationDetail"),
    *("RankingPolicy", "RankingRun", "FullRankingRun", "RankingExemption", "OwnTailCase", "FullTailCase"),  # as above
    "ForeseenHit",  # less of a distributor
    "ProductName",
    *("CustomerFile", "PersonalRead"),  # read with a reason, or with the trail
    *("RefundRequest", "Rule", "StatementLine", "FullStatementLine", "Transfer", "RefusedTouch"),  # a part of something
}
"""Types with an id that is no node's: another type is that thing at the door, or it is read with what it is a part of."""


SCHEMA = build_schema(sdl())


def _seen(value: Any) -> dict[str, str]:
    """The type of everything in an answer, by id."""
    if isinstance(value, list):
        return {name: what for it in value for name, what in _seen(it).items()}
    if not isinstance(value, dict):
        return {}
    own = {value["id"]: value["__typename"]} if "id" in value else {}
    return own | {name: what for it in value.values() for name, what in _seen(it).items()}


def _node(answer: Any) -> Any:
    (door,) = answer["data"].values()
    return door["me"]["node"] if "me" in door else door["node"]


def _types(interface: str) -> set[str]:
    return {type_.name for type_ in SCHEMA.get_possible_types(assert_interface_type(SCHEMA.type_map[interface]))}


@pytest.mark.parametrize("kind", OPERATIONS)
async def test_everything_is_read_again_by_its_id(own_sample: Api, kind: str) -> None:
    """By its viewer; for a stranger it is not there."""
    api, operation = own_sample, OPERATIONS[kind]
    await lived_in(api)
    role = ROLES[operation.partition("/")[0]]
    token = await api.token(**WHO[role])
    stranger = await api.token(**OTHERS[role]) if role in OTHERS else None
    seen = {id_: FULL.get(type_, type_) for id_, type_ in _seen(await api.ask(LISTS[kind], token)).items()}
    assert set(seen.values()) == _types(kind)
    checked: set[str] = set()
    for id_, type_ in seen.items():
        if type_ in checked:
            answer = await api.run(operation, token, id=id_)
        else:  # who is asking, unless anybody may, and the thing
            answer = await check(api, operation, token, case=type_, id=id_, statements=1 if kind == "ShopNode" else 2)
            checked.add(type_)
        found = _node(answer)
        assert (found["id"], found["__typename"]) == (id_, type_)
        if stranger is not None and type_ not in {"CatalogueProduct", "Storefront", "Listing"}:
            assert _node(await api.run(operation, stranger, id=id_)) is None, type_


@pytest.mark.parametrize("kind", OPERATIONS)
async def test_what_is_not_there_is_null(sample: Api, kind: str) -> None:
    operation = OPERATIONS[kind]
    token = await sample.token(**WHO[ROLES[operation.partition("/")[0]]])
    seen = {parts(id_) for id_ in _seen(await sample.ask(LISTS[kind], token))} | {("variant", (1,)), ("", (1,))}
    for name, key in seen:
        made_up = {(*key[:-1], last) for last in (0, -1, 999_999_999, MAX_INT64, -MAX_INT64)}
        made_up |= {(*key, 1), key[:-1], (999_999_999, *key[1:])}
        for other in made_up - {()}:
            assert _node(await sample.run(operation, token, id=encode(name, *other))) is None, (name, other)


@pytest.mark.parametrize("kind", OPERATIONS)
async def test_what_is_no_id_is_refused(sample: Api, kind: str) -> None:
    operation = OPERATIONS[kind]
    token = await sample.token(**WHO[ROLES[operation.partition("/")[0]]])
    for text in ("", "garbage", "\x01", "编号", encode("store", 2**63), "9" * 3000, encode("store", 1).rstrip("=")):
        answer = await sample.run(operation, token, id=text)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_ARGUMENT"], text


def test_what_has_an_id_and_is_no_node() -> None:
    with_id = {type_.name for type_ in SCHEMA.type_map.values() if is_object_type(type_) and "id" in type_.fields}
    assert with_id - _types("Node") == MENTIONS


def test_every_node_is_of_a_door() -> None:
    assert set().union(*map(_types, OPERATIONS)) == _types("Node")
