"""Pages of objects, newest first, and objects put in the place of their ids."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from tests.stripe_fake.errors import StripeRefusal, no_such
from tests.stripe_fake.schema import Json
from tests.stripe_fake.world import Account


class Call(NamedTuple):
    """A request that was read: who it is for, what its path names, and its parameters."""

    account: Account
    path: dict[str, str]
    params: Json


Handler: TypeAlias = Callable[[Call], Json]
Operations: TypeAlias = dict[str, Handler]

_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_PAGING = {"created", "ending_before", "expand", "limit", "starting_after"}
_EXPANDABLE = {
    "balance_transaction",
    "charge",
    "customer",
    "destination",
    "failure_balance_transaction",
    "latest_charge",
    "payment_intent",
    "source",
    "transfer",
}


def listing(kind: str, url: str, wanted: Callable[[Json, Json], bool] | None = None) -> Handler:
    """The handler of a list; rows must equal the parameters that are no paging, or be what `wanted` says."""

    def handle(call: Call) -> Json:
        rows = list(call.account.objects[kind].values())
        return page(call, rows, url, wanted or _equal)

    return handle


def retrieving(kind: str, name: str) -> Handler:
    """The handler of one object; `name` is what its path calls the id."""

    def handle(call: Call) -> Json:
        return call.account.find(kind, call.path[name], param=name if name in {"intent", "session"} else "id")

    return handle


def _equal(row: Json, params: Json) -> bool:
    return all(row.get(name) == value for name, value in params.items())


def page(call: Call, rows: list[Json], url: str, wanted: Callable[[Json, Json], bool] = _equal) -> Json:
    """A page of `rows`, which are oldest first.

    The cursor is a place among all rows, so that a filter may leave out the row it names.
    """
    params = call.params
    limit = params.get("limit", 10)
    if not 1 <= limit <= 100:
        raise StripeRefusal(400, "The limit lies between 1 and 100", code="parameter_invalid_integer", param="limit")
    if "starting_after" in params and "ending_before" in params:
        raise StripeRefusal(400, "Only one of starting_after and ending_before may be given", param="starting_after")
    newest_first = rows[::-1]
    if "starting_after" in params:
        newest_first = newest_first[_place(newest_first, params, "starting_after") + 1 :]
    if "ending_before" in params:
        newest_first = newest_first[: _place(newest_first, params, "ending_before")]
    filters = {name: value for name, value in params.items() if name not in _PAGING}
    found = [row for row in newest_first if _created_in(row, params.get("created", {})) and wanted(row, filters)]
    data = found[-limit:] if "ending_before" in params else found[:limit]
    return {"object": "list", "data": data, "has_more": len(found) > limit, "url": url}


def _place(rows: list[Json], params: Json, name: str) -> int:
    for place, row in enumerate(rows):
        if row["id"] == params[name]:
            return place
    raise no_such("object", params[name], param=name, status=400)


def _created_in(row: Json, created: Json | int) -> bool:
    if isinstance(created, int):
        return bool(row["created"] == created)
    return all(_BOUNDS[name](row["created"], bound) for name, bound in created.items())


def answer(account: Account, thing: Json, expand: list[str]) -> Json:
    """What a client sees of an object or a page of them."""
    if thing.get("object") == "list":
        shown = thing | {"data": [account.shown(row) for row in thing["data"]]}
    else:
        shown = account.shown(thing) if "object" in thing else dict(thing)
    for path in expand:
        _expand(account, shown, path.split("."), path)
    return shown


def _expand(account: Account, node: Any, names: list[str], path: str) -> None:
    if isinstance(node, list):
        for row in node:
            _expand(account, row, names, path)
        return
    if not names or node is None:
        return
    name, *rest = names
    if not isinstance(node, dict) or not _put(account, node, name):
        raise StripeRefusal(400, f"This property cannot be expanded ({path}).", param="expand")
    _expand(account, node[name], rest, path)


def _put(account: Account, node: Json, name: str) -> bool:
    """Makes the field an object, if it may be one."""
    match node.get("object"), name:
        case "list", "data":
            return True
        case "charge", "refunds":
            refunds = account.objects["refund"].values()
            rows = [account.shown(row) for row in reversed(refunds) if row["charge"] == node["id"]]
            node[name] = _whole(rows, f"/v1/charges/{node['id']}/refunds")
            return True
        case "checkout.session", "line_items":
            rows = account.aside[node["id"]]["line_items"]
            node[name] = _whole(rows, f"/v1/checkout/sessions/{node['id']}/line_items")
            return True
    if name not in _EXPANDABLE or name not in node:
        return False
    if isinstance(node[name], str) and (thing := account.named(node[name])):
        node[name] = account.shown(thing)
    return True


def _whole(rows: list[Json], url: str) -> Json:
    return {"object": "list", "data": rows, "has_more": False, "url": url}
