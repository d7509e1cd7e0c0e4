"""Files over HTTP: POST /files takes one in as it comes, GET /files/{id} gives one out; errors are JSON.

What finance and the platform have exported is downloaded by a link that is signed and expires, and in no other way.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from s2b2c import accounts, files, logs
from s2b2c.api.access import BrandDoor, Door, FileDoor, FinanceDoor, UploadDoor
from s2b2c.api.context import Context
from s2b2c.api.types.ids import encode, key_of
from s2b2c.config import settings
from s2b2c.errors import BadArgument, Refused, TooManyRequests
from s2b2c.failures import is_database_away, told

UPLOADS = accounts.Limit("uploads", 60, timedelta(hours=1))
"""Of an account: each takes up to S2B2C_UPLOAD_MIB for S2B2C_FILE_DAYS."""
UPLOADABLE: Mapping[str, type[Door]] = {"catalogue": BrandDoor, "payout_proof": FinanceDoor, "rail_report": FinanceDoor}
"""Who may upload what."""
_TYPES = {
    ".csv": "text/csv",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
}
_WITHIN_S = 3600
_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "NOT_FOUND": 404, "TOO_LARGE": 413, "TOO_MANY_REQUESTS": 429}
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}

_log = logging.getLogger(__name__)

Answer = Callable[[Request, Context], Awaitable[Response]]


def routes(context: Callable[[Request], Context]) -> list[Route]:
    return [
        Route("/files", _told(_upload, "files/upload", context), methods=["POST"]),
        Route("/files/{id}", _told(_download, "files/download", context), methods=["GET"]),
    ]


def _told(
    answer: Answer, operation: str, context: Callable[[Request], Context]
) -> Callable[[Request], Awaitable[Response]]:
    """`answer` as a route: limited and logged like an operation, and whatever goes wrong in a line of JSON."""

    async def endpoint(request: Request) -> Response:
        if (logged := logs.current.get()) is not None:
            logged.operation = operation
        it = context(request)
        try:
            await it.count_request()
            return await answer(request, it)
        except Refused as refused:
            refusal = refused.refusal
            headers = {}
            if isinstance(refusal, TooManyRequests):
                headers["Retry-After"] = str(refusal.retry_after_s)
            return _error(refusal.message, refusal.code, _STATUS.get(refusal.code, 400), headers)
        except files.TooLarge:
            most = settings().upload_mib
            return _error(f"The file is larger than {most} MiB: send it in parts.", "TOO_LARGE", 413)
        except ClientDisconnect:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, no traceback reaches a client
            is_away = is_database_away(error)
            code = "UNAVAILABLE" if is_away else "INTERNAL"
            _log.error("%s: %s", operation, told(error))
            message = "Nothing was done: try again in a moment." if is_away else "Something broke on our side."
            return _error(message, code, 503 if is_away else 500)

    return endpoint


def _error(message: str, code: str, status: int, headers: dict[str, str] | None = None) -> Response:
    logs.note_outcome(code)
    return JSONResponse({"error": {"code": code, "message": message}}, status, {**_HEADERS, **(headers or {})})


async def _upload(request: Request, context: Context) -> Response:
    viewer = await context.viewer()
    UploadDoor.admit(viewer)
    kind, name = request.query_params.get("kind", ""), files.check_name(request.query_params.get("name", ""))
    if kind not in UPLOADABLE:
        raise Refused(BadArgument(f"The parameter kind is one of: {', '.join(UPLOADABLE)}."))
    UPLOADABLE[kind].admit(viewer)
    brand_id = await context.brand_id() if kind == "catalogue" else None
    pieces = request.stream() if kind != "payout_proof" else files.proof(name, request.stream())
    most = settings().upload_mib * 1024 * 1024
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise files.TooLarge
    async with context.db.write() as session:
        await accounts.take(session, context.clock(), (UPLOADS, f"account {viewer.account_id}"))
    try:
        async with asyncio.timeout(_WITHIN_S):
            file = await files.save(
                context.db,
                pieces,
                kind=kind,
                name=name,
                brand_id=brand_id,
                account_id=viewer.account_id,
                now=context.clock(),
                most=most,
            )
    except TimeoutError:
        raise Refused(BadArgument(f"The file did not come within {_WITHIN_S // 60} minutes.")) from None
    shown = {"id": encode("file", file.id), "name": file.name, "size": file.size, "sha256": file.sha256}
    return JSONResponse(shown, 201, _HEADERS)


async def _download(request: Request, context: Context) -> Response:
    if "signature" in request.query_params:
        file_id = key_of("file", request.path_params["id"])
        expires, signature = (request.query_params.get(name, "") for name in ("expires", "signature"))
        async with context.db.read() as session:
            file = await files.find_by_link(
                session, file_id, context.secret, expires=expires, signature=signature, now=context.clock()
            )
    else:
        viewer = await context.viewer()
        FileDoor.admit(viewer)
        file_id = key_of("file", request.path_params["id"])
        async with context.db.read() as session:
            file = await files.find(session, file_id, brand_id=viewer.brand_id)
    headers = {
        **_HEADERS,
        "Content-Length": str(file.size),
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
    }
    kind = _TYPES.get(Path(file.name).suffix.lower(), "text/csv")
    if request.method == "HEAD":
        return Response(headers=headers, media_type=kind)
    return StreamingResponse(await files.read(file), headers=headers, media_type=kind)
