"""Requests of those who mean no good, each with what it gets. None of them is ever run."""

import gzip
import json
from collections.abc import Mapping
from typing import NamedTuple

LIMIT = "LIMIT_EXCEEDED"
BAD = "BAD_REQUEST"
HTTP = "4xx"
"""Refused whatever it asks for."""
_JSON = {"content-type": "application/json", "accept": "application/graphql-response+json"}


class Hostile(NamedTuple):
    outcome: str
    """The code of its errors, or HTTP."""
    body: bytes
    headers: Mapping[str, str] = _JSON
    method: str = "POST"
    path: str = "/graphql"


def _ask(outcome: str, query: str, variables: object = None) -> Hostile:
    return Hostile(outcome, json.dumps({"query": query, "variables": variables}).encode())


def _query(selections: str, *more: str) -> str:
    return " ".join([f"{{ {selections} }}", *more])


def _some(part: str, count: int) -> str:
    """The part so many times, each with its number at the place of #."""
    return " ".join(part.replace("#", str(number)) for number in range(count))


def _nested(start: str, levels: int, end: str, inside: str = "") -> str:
    return start * levels + inside + end * levels


def _chain(levels: int, times: int, last: str = "__typename") -> str:
    """Fragments, each with the next one so many times."""
    links = (f"fragment F{number} on Query {{ {f'...F{number + 1} ' * times} }}" for number in range(levels))
    return _query("...F0", *links, f"fragment F{levels} on Query {{ {last} }}")


_ALL = " ".join(f"...F{number}" for number in range(12))
_FRAGMENTS = {
    "60 levels of fragments, each with the next one twice": _ask(LIMIT, _chain(60, 2)),
    "60 levels of fragments, each with the next one ten times": _ask(LIMIT, _chain(60, 10)),
    "18 levels of fragments, each with the next one ten times": _ask(LIMIT, _chain(18, 10)),
    "60 levels of fragments": _ask(LIMIT, _chain(60, 1)),
    "15 levels of fragments in which nothing is": _ask(LIMIT, _chain(15, 2, "")),
    "60 fragments side by side": _ask(LIMIT, _query(_some("...F#", 60), _some("fragment F# on Query { a }", 60))),
    "20 fragments with the same fields": _ask(
        LIMIT, _query(_some("...F#", 20), _some("fragment F# on Query { a b c d e f g h }", 20))
    ),
    "12 fragments in 12 places": _ask(
        LIMIT, _query(_some(f"shop {{ {_ALL} }}", 10), _some("fragment F# on ShopQuery { a# }", 12))
    ),
    "one fragment 200 times": _ask(LIMIT, _query(_some("...F", 200), "fragment F on Query { __typename }")),
    "a fragment in itself": _ask(BAD, _query("...F", "fragment F on Query { __typename ...F }")),
    "each fragment in each": _ask(BAD, _query("...F0", _some(f"fragment F# on Query {{ {_ALL} }}", 12))),
    "1,000 fragments that nobody uses": _ask(LIMIT, _query("__typename", _some("fragment F# on Query { a }", 1000))),
    "a fragment that nobody uses, with the same field over and over": _ask(
        LIMIT, _query("__typename", f"fragment F on Query {{ {_some('a { b }', 100)} }}")
    ),
    "two fragments with one name": _ask(
        BAD,
        _query("...F", f"fragment F on Query {{ {_some('a { b }', 100)} }}", "fragment F on Query { __typename }"),
    ),
}

_PAGES = """query($n: Int! = 100) { finance { runs(first: $n) { edges { node { statements(payee: BRAND, first: $n) {
  edges { node { lines(first: $n) { edges { node { id orderNo amount { amount } } } } } } } } } } } }"""
_FIELDS = {
    "10,000 times the same field": _ask(LIMIT, _query(_some("__typename", 10_000))),
    "290 times the same field": _ask(LIMIT, _query(_some("a", 290))),
    "120 times the same field with a field": _ask(LIMIT, _query(_some("shop { a }", 120))),
    "60 fields with one name that are not the same": _ask(LIMIT, _query(_some("a: shop { a: f# }", 60))),
    "100 pieces with the same field": _ask(LIMIT, _query(_some("... { __typename }", 100))),
    "17 levels, the same field thrice in each": _ask(LIMIT, _query(_nested("a { b b b ", 17, "}", "c"))),
    "1,000 aliases": _ask(LIMIT, _query(_some("a#: __typename", 1000))),
    "50 aliases": _ask(LIMIT, _query(f"shop {{ {_some('a#: store(slug: 1) { id }', 50)} }}")),
    "500 directives": _ask(LIMIT, _query(f"__typename {_some('@skip(if: true)', 500)}")),
    "200 directives that there are not": _ask(LIMIT, _query(f"__typename {_some('@a#', 200)}")),
    "290 fields that there are not": _ask(BAD, _query(_some("f#", 290))),
    "160 arguments that there are not": _ask(BAD, _query(f"shop({_some('a#: 1', 160)}) {{ __typename }}")),
    "fields nested 1,000 deep": _ask(LIMIT, _nested("{ a ", 1000, "}")),
    "fields nested 150 deep": _ask(LIMIT, _nested("{ a ", 150, "}")),
    "pieces nested 150 deep": _ask(LIMIT, _query(_nested("... { ", 150, "}", "__typename "))),
    "100 guests": _ask(LIMIT, f"mutation {{ {_some('a#: enterAsGuest { __typename }', 100)} }}"),
    "40 guests who are one": _ask(LIMIT, f"mutation {{ {_some('enterAsGuest { __typename }', 40)} }}"),
    "pages in pages in pages": _ask(LIMIT, _PAGES),
    "pages of a size that is given": _ask(LIMIT, _PAGES.replace("= 100", "= 1"), {"n": 100}),
    "pages larger than there are": _ask(LIMIT, _PAGES, {"n": 10**18}),
    "types of fields of types": _ask(
        LIMIT, _query(f"__schema {{ types {{ {_nested('fields { type { ', 5, '} } ', 'name ')} }} }}")
    ),
    "types of fields of what is never null": _ask(
        LIMIT, "{__schema{types{fields{type{ofType{fields{type{ofType{name}}}}}}}}}"
    ),
    "every type 40 times": _ask(LIMIT, _query(_some("a#: __schema { types { fields { name } } }", 40))),
    "one type 40 times": _ask(LIMIT, _query(_some("a#: __type(name: 1) { name }", 40))),
}

_SLUG = "{ shop { store(slug: %s) { id } } }"
_VALUES = {
    "half of a surrogate pair": _ask(BAD, _SLUG % '"\ud800"'),
    "half of a surrogate pair, escaped": _ask(BAD, _SLUG % r'"\ud800"'),
    "lists nested 1,000 deep": _ask(LIMIT, _SLUG % _nested("[", 1000, "]")),
    "lists nested 190 deep": _ask(LIMIT, _SLUG % _nested("[", 190, "]")),
    "objects nested 1,000 deep": _ask(LIMIT, _SLUG % _nested("{a: ", 1000, "}", "1")),
    "objects nested 100 deep": _ask(LIMIT, _SLUG % _nested("{a: ", 100, "}", "1")),
    "a name of 400,000 letters": _ask(LIMIT, _query("a" * 400_000)),
    "30 names of 300 letters": _ask(BAD, _query(_some(f"{'a' * 300}#", 30))),
    "a string of 400,000 letters": _ask(LIMIT, _SLUG % f'"{"a" * 400_000}"'),
    "a string of 100,000 lines": _ask(LIMIT, _SLUG % '"""{}"""'.format("a\n" * 100_000)),
    "9,000 quotes": _ask(BAD, '"' * 9_000),
    "9,000 brackets": _ask(BAD, "}" * 9_000),
    "a comment of 400,000 letters": _ask(LIMIT, f"# {'a' * 400_000}\n{{ __typename }}"),
    "2,000 comments": _ask(LIMIT, "#\n" * 2_000 + "{ __typename }"),
    "400,000 commas": _ask(LIMIT, _query("__typename" + "," * 400_000)),
    "a number of 9,000 digits": _ask(LIMIT, _SLUG % ("9" * 9_000)),
    "a page of 9,000 digits": _ask(LIMIT, _PAGES.replace("= 100", f"= {'9' * 9_000}")),
    "1,000 variables": _ask(LIMIT, f"query({_some('$a#: Int', 1000)}) {{ __typename }}"),
    "120 variables that nobody uses": _ask(BAD, f"query({_some('$a#: Int', 120)}) {{ __typename }}"),
    "120 variables of types that there are not": _ask(BAD, f"query({_some('$a#: T#', 120)}) {{ __typename }}"),
    "100,000 values": _ask(LIMIT, "query($a: String!) " + _SLUG % "$a", {"a": [1] * 100_000}),
    "30,000 values that nobody uses": _ask(LIMIT, "{ __typename }", {f"a{number}": 1 for number in range(30_000)}),
    "values nested 20 deep": _ask(BAD, "query($a: String!) " + _SLUG % "$a", {"a": json.loads(_nested("[", 20, "]"))}),
    "values of no number": _ask(BAD, "query($a: String!) " + _SLUG % "$a", {"a": float("nan")}),
    "1,000 operations": _ask(LIMIT, _some("query Q# { __typename }", 1000)),
    "80 operations with one fragment": _ask(LIMIT, f"{_some('query Q# { ...F }', 80)} fragment F on Query {{ a b c }}"),
    "a schema beside a query": _ask(BAD, _query("__typename", _some("extend type Query { a#: Int }", 20))),
    "a subscription": _ask(BAD, "subscription { shop { __typename } }"),
}


def _send(body: bytes, **headers: str) -> Hostile:
    return Hostile(HTTP, body, {**_JSON, **{name.replace("_", "-"): value for name, value in headers.items()}})


_GUEST = b'{"query": "mutation { enterAsGuest { __typename } }"}'
_BODIES = {
    "20 MB": _send(b'{"query": "' + b"a" * 20_000_000 + b'"}'),
    "20 MB of spaces": _send(b" " * 20_000_000),
    "JSON 100,000 deep": _send(b"[" * 100_000 + b"]" * 100_000),
    "JSON 100,000 deep and no end": _send(b'{"a":' * 100_000),
    "a value 50,000 deep": _send(b'{"query": "{ a }", "variables": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001),
    "1,000 requests at once": _send(b"[" + b",".join([_GUEST] * 1000) + b"]"),
    "two requests at once": _send(b"[" + _GUEST + b"," + _GUEST + b"]"),
    "a form": _send(b"query=mutation+%7B+enterAsGuest+%7D", content_type="application/x-www-form-urlencoded"),
    "plain text": _send(_GUEST, content_type="text/plain"),
    "a form of parts": _send(
        b'--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n' + _GUEST + b"\r\n--x--\r\n",
        content_type="multipart/form-data; boundary=x",
    ),
    "no type": Hostile(HTTP, _GUEST, {}),
    "not UTF-8": _send(b'{"query": "{ __typename } # \xff\xfe"}'),
    "zipped": _send(gzip.compress(_GUEST), content_encoding="gzip"),
    "zeros": _send(b"\0" * 100_000),
    "no end": _send(_GUEST[:-1]),
    "nothing": _send(b""),
    "a value of 100,000 digits": _send(b'{"query": "{ __typename }", "variables": {"a": ' + b"9" * 100_000 + b"}}"),
    "a query that is a list": _send(b'{"query": ["{ __typename }"]}'),
    "values that are a list": _send(b'{"query": "{ __typename }", "variables": [1, 2]}'),
    "an operation whose name is an object": _send(b'{"query": "{ __typename }", "operationName": {"a": 1}}'),
    "an operation that there is not": _send(b'{"query": "query A { __typename }", "operationName": "B"}'),
    "a change by GET": Hostile(HTTP, b"", {}, "GET", "/graphql?query=mutation%7BenterAsGuest%7B__typename%7D%7D"),
    "another method": Hostile(HTTP, _GUEST, _JSON, "PUT"),
}

REQUESTS: Mapping[str, Hostile] = {**_FRAGMENTS, **_FIELDS, **_VALUES, **_BODIES}
