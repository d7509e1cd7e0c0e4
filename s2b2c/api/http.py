"""GraphQL over HTTP, to the letter of its specification; its trusted documents are those of its appendix.

POST runs what `query` or `documentId` says. GET runs trusted documents that only read at the door of customers, so that
a cache between here and there can answer them. What cannot be understood is refused here, before GraphQL sees it.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, TypeVar
from urllib.parse import parse_qsl

from graphql import GraphQLError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types import ExecutionResult

from s2b2c.api import explorer
from s2b2c.api.context import Context
from s2b2c.api.documents import Document
from s2b2c.api.limits import MAX_BODY_BYTES
from s2b2c.api.schema import Schema, published
from s2b2c.db import MAX_INT64
from s2b2c.errors import Refused, TooManyRequests

T = TypeVar("T")

JSON = "application/json"
RESPONSE = "application/graphql-response+json"
MAX_JSON_DEPTH = 32
MAX_JSON_VALUES = 5_000
CACHED_S = 60
"""How long a cache may tell what it was told at the door of customers."""

_PARAMETERS = {"query": str, "documentId": str, "operationName": str, "variables": dict, "extensions": dict}
_JSON_NAMES = {str: "a string", dict: "an object"}
_STATUS = {"INTERNAL": 500, "UNAVAILABLE": 503}


class Asked(NamedTuple):
    """The parameters of a request. What a client says in `extensions` has no meaning here."""

    query: str | None
    document_id: str | None
    operation_name: str | None
    variables: dict[str, Any] | None


class Unacceptable(Exception):
    """A request that comes to nothing, as it is answered.

    `well_formed`: a request as the specification has it, which `application/json` answers with 200 all the same.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        code: str = "BAD_REQUEST",
        *,
        headers: Mapping[str, str] | None = None,
        well_formed: bool = False,
    ) -> None:
        super().__init__(message)
        self.error = GraphQLError(message, extensions={"code": code})
        self.status = status
        self.headers = headers or {}
        self.well_formed = well_formed


class GraphQL:
    """The ASGI app at /graphql. With `trusted_only` it runs nothing but `documents`, and has no explorer."""

    def __init__(
        self,
        schema: Schema,
        context: Callable[[Request], Context],
        documents: Mapping[str, Document],
        *,
        trusted_only: bool,
    ) -> None:
        self._schema = schema
        self._context = context
        self._documents = documents
        self._trusted_only = trusted_only
        self._explorer = None if trusted_only else explorer.page()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        accept = ",".join(request.headers.getlist("accept"))
        by_url = request.method in {"GET", "HEAD"}
        if self._explorer and by_url and "text/html" in accept and not request.scope["query_string"]:
            html, headers = self._explorer
            return HTMLResponse(html, headers=headers)
        media_type = JSON
        try:
            media_type = _media_type(accept)
            context = self._context(request)
            await _admit(context)
            asked = _asked(_of_url(request.scope["query_string"]) if by_url else await _of_body(request))
            document = self._public(asked) if by_url else self._allowed(asked)
            result = await self._run(document, asked, context)
        except Unacceptable as refusal:
            status = 200 if refusal.well_formed and media_type == JSON else refusal.status
            headers = {**refusal.headers, **({"Cache-Control": "no-store"} if by_url else {})}
            return _response({"errors": [refusal.error.formatted]}, status, media_type, headers)
        return _told(result, media_type, _caching(request, result) if by_url else {})

    def _public(self, asked: Asked) -> Document:
        """What a GET asks for."""
        if asked.query is not None:
            _refuse_method("A GET names its document by documentId; a query is sent with POST.", "POST")
        if asked.document_id is None:
            raise Unacceptable("The URL names no document: add ?documentId=sha256:...")
        document = self._document(asked.document_id)
        if not document.public:
            _refuse_method("A GET reads at the door of customers; this document is asked for with POST.", "POST")
        return document

    def _allowed(self, asked: Asked) -> str:
        """What a POST asks for."""
        if asked.document_id is not None and asked.query is not None:
            raise Unacceptable("Send a documentId or a query, not both.")
        if asked.document_id is not None:
            return self._document(asked.document_id)
        if not asked.query:
            raise Unacceptable("The body has no query: send one, or a documentId.")
        if self._trusted_only:
            message = "This server runs trusted documents alone: send a documentId of graphql/operations.json."
            raise Unacceptable(message, 403, "DOCUMENT_NOT_TRUSTED", well_formed=True)
        return asked.query

    def _document(self, name: str) -> Document:
        try:
            return self._documents[name]
        except KeyError:
            message = "There is no trusted document of this documentId: it is sha256: and the hash of the document."
            raise Unacceptable(message, code="DOCUMENT_NOT_FOUND", well_formed=True) from None

    async def _run(self, document: str, asked: Asked, context: Context) -> ExecutionResult:
        try:
            return await self._schema.execute(
                document,
                variable_values=asked.variables,
                context_value=context,
                operation_name=asked.operation_name,
            )
        except CannotGetOperationTypeError:
            raise Unacceptable("The document has no operation of this operationName.", well_formed=True) from None


async def _admit(context: Context) -> None:
    try:
        await context.count_request()
    except Refused as refused:
        refusal = refused.refusal
        assert isinstance(refusal, TooManyRequests)
        wait = {"Retry-After": str(refusal.retry_after_s)}
        raise Unacceptable(refusal.message, 429, refusal.code, headers=wait) from None


def _told(result: ExecutionResult, media_type: str, headers: Mapping[str, str]) -> Response:
    """Errors without a place in the data are about the request as a whole, and then there is no data."""
    body: dict[str, object] = {}
    status = 200
    if result.errors:
        errors = [published(error).formatted for error in result.errors]
        body["errors"] = errors
        if result.data is None and all("path" not in error for error in errors):
            if media_type == RESPONSE:
                status = max(_STATUS.get(error["extensions"]["code"], 400) for error in errors)
            return _response(body, status, media_type, headers)
    body["data"] = result.data
    if result.extensions:
        body["extensions"] = result.extensions
    return _response(body, status, media_type, headers)


def _response(body: object, status: int, media_type: str, headers: Mapping[str, str]) -> Response:
    # A message may quote half of a surrogate pair.
    content = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    always = {"Content-Type": f"{media_type}; charset=utf-8", "X-Content-Type-Options": "nosniff"}
    return Response(content, status, {**always, **headers})


def _caching(request: Request, result: ExecutionResult) -> dict[str, str]:
    """What nobody's token had a part in may be kept."""
    kept = not result.errors and "authorization" not in request.headers
    return {
        "Cache-Control": f"public, max-age={CACHED_S}" if kept else "no-store",
        "Vary": "Accept, Authorization",
    }


@lru_cache(maxsize=64)
def _media_type(accept: str) -> str:
    """The one of ours that an Accept header likes best; application/json where it does not say.

    Raises Unacceptable for a header that likes none.
    """
    if not accept.strip():
        return JSON
    ranges: dict[str, tuple[float, int]] = {}
    for place, entry in enumerate(accept.split(",")):
        name, given = _parameters_of(entry)
        if _is_utf8(given):
            ranges.setdefault(name, (_quality(given.get("q", "1")), -place))
    liked = []
    for ours in (JSON, RESPONSE):
        named = next((it for it in (ours, "application/*", "*/*") if it in ranges), None)
        if named and ranges[named][0] > 0:
            liked.append((*ranges[named], ours == JSON, ours))
    if not liked:
        raise Unacceptable(f"Accept {RESPONSE} or {JSON}.", 406, "NOT_ACCEPTABLE")
    return max(liked)[-1]


def _parameters_of(entry: str) -> tuple[str, dict[str, str]]:
    """`text/html; q=0.5` taken apart."""
    name, *parameters = (part.strip() for part in entry.lower().split(";"))
    return name, dict(parameter.partition("=")[::2] for parameter in parameters)


def _is_utf8(given: Mapping[str, str]) -> bool:
    return given.get("charset", "utf-8").strip('"') in {"utf-8", "utf8"}


def _quality(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0
    return quality if 0 <= quality <= 1 else 0


async def _of_body(request: Request) -> object:
    if request.method != "POST":
        _refuse_method("Ask with POST; a GET may ask for trusted documents of the shop.", "GET, HEAD, POST")
    # Nothing that a page of somebody else's can have a browser send without asking us first.
    name, given = _parameters_of(request.headers.get("content-type", ""))
    if name != JSON or not _is_utf8(given):
        raise Unacceptable(f"Send a body with Content-Type: {JSON}, in UTF-8.", 415, "UNSUPPORTED_MEDIA_TYPE")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY_BYTES:
            message = f"The body is too large: at most {MAX_BODY_BYTES} bytes are read."
            raise Unacceptable(message, 413, "LIMIT_EXCEEDED")
        parts.append(part)
    return _decoded(b"".join(parts))


def _of_url(query_string: bytes) -> object:
    try:
        text = query_string.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=len(_PARAMETERS))
    except ValueError:
        raise Unacceptable("The URL cannot be read: its parameters are escaped UTF-8, each given once.") from None
    return {
        name: _decoded(value.encode()) if _PARAMETERS.get(name) is dict else value
        for name, value in _object(pairs).items()
        if value
    }


def _refuse_method(message: str, allow: str) -> NoReturn:
    raise Unacceptable(message, 405, "METHOD_NOT_ALLOWED", headers={"Allow": allow})


def _asked(parameters: object) -> Asked:
    """Raises Unacceptable for a request that is not well-formed."""
    if isinstance(parameters, list):
        raise Unacceptable("One request at a time: the body is a list, and must be one JSON object.")
    if not isinstance(parameters, dict):
        raise Unacceptable("The body must be one JSON object with a query.")
    _check_text(parameters, MAX_JSON_DEPTH)
    for name, type_ in _PARAMETERS.items():
        if not isinstance(parameters.get(name), type_ | None):
            raise Unacceptable(f"{name} must be {_JSON_NAMES[type_]}, if it is there.")
    return Asked(*(parameters.get(name) for name in ("query", "documentId", "operationName", "variables")))


def _check_text(value: object, levels: int) -> None:
    if isinstance(value, str):
        if "\0" in value or not (value.isascii() or _is_unicode(value)):
            raise Unacceptable("A text holds a NUL or half of a surrogate pair.")
    elif isinstance(value, dict | list):
        if not levels:
            _too_deep()
        for part in value:
            _check_text(part, levels - 1)
        if isinstance(value, dict):
            for part in value.values():
                _check_text(part, levels - 1)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(data: bytes) -> object:
    """JSON in UTF-8, each name once in its object, numbers as PostgreSQL and everybody's JSON have them."""
    if data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_JSON_VALUES:
        raise Unacceptable(f"Too much JSON: at most {MAX_JSON_VALUES} values are read.", code="LIMIT_EXCEEDED")
    try:
        return _DECODER.decode(data.decode())
    except RecursionError:
        _too_deep()
    except UnicodeDecodeError:
        raise Unacceptable("The request is not UTF-8.") from None
    except ValueError:
        raise Unacceptable("The request is not JSON.") from None


def _too_deep() -> NoReturn:
    raise Unacceptable(f"JSON in JSON in JSON: at most {MAX_JSON_DEPTH} levels are read.", code="LIMIT_EXCEEDED")


def _object(pairs: Sequence[tuple[str, T]]) -> dict[str, T]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unacceptable("A name stands twice in the same object.")
    return found


def _integer(text: str) -> int:
    # As long as the text of the lowest: what is longer is no number to be made.
    if len(text) > 20 or not -MAX_INT64 - 1 <= (number := int(text)) <= MAX_INT64:
        raise Unacceptable("An integer has more than 64 bits.")
    return number


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise Unacceptable("A number is too large.")
    return number


def _constant(_: str) -> NoReturn:
    raise Unacceptable("NaN and Infinity are not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)
