"""One request to Stripe: who asks, what for, whether it was answered before, what is to go wrong, and then the deed."""

import asyncio
import base64
import binascii
import json

from starlette.requests import Request
from starlette.responses import Response

from tests.stripe_fake import balance, checkout, connect, payments, people, refunds
from tests.stripe_fake.errors import StripeRefusal
from tests.stripe_fake.fake import Asked, Fake
from tests.stripe_fake.faults import Fault
from tests.stripe_fake.idempotency import Answer
from tests.stripe_fake.lists import Call, Operations, answer
from tests.stripe_fake.schema import API_VERSION, Json, Operation, decode, find, read
from tests.stripe_fake.wire import Reset, Silence
from tests.stripe_fake.world import NOBODY, Account

HANDLERS: Operations = (
    payments.OPERATIONS
    | refunds.OPERATIONS
    | checkout.OPERATIONS
    | connect.OPERATIONS
    | balance.OPERATIONS
    | people.OPERATIONS
)
_OF_INTEREST = ("idempotency-key", "stripe-account", "stripe-version", "user-agent")
_OWN_FAULT = "An error occurred at Stripe."


async def serve(fake: Fake, request: Request) -> Response:
    form = request.url.query if request.method in {"GET", "DELETE"} else (await request.body()).decode(errors="replace")
    headers = {name: request.headers[name] for name in _OF_INTEREST if name in request.headers}
    asked = Asked(request.method, request.url.path, "", {}, headers)
    request_id = fake.world.new_id("req")
    fake.requests.append(asked)
    try:
        asked.params = decode(form)
        response = await _served(fake, request, asked, request_id)
    except StripeRefusal as refusal:
        response = _response(Answer(refusal.status, {"error": refusal.error}, request_id))
    if isinstance(response, Silence):
        return response
    asked.status = response.status_code
    response.headers["Request-Id"] = request_id
    response.headers["Stripe-Version"] = headers.get("stripe-version", API_VERSION)
    if "idempotency-key" in headers:
        response.headers["Idempotency-Key"] = headers["idempotency-key"]
    return response


async def _served(fake: Fake, request: Request, asked: Asked, request_id: str) -> Response:
    account = _admitted(fake, request)
    operation, call = _read(account, asked)
    fault = fake.faults.take(operation.template)
    if early := _early(fault):
        return early
    key = asked.headers.get("idempotency-key") if asked.method == "POST" else None
    with fake.lock:
        saved = None
        if key is not None:
            saved = fake.keys.begin(account.key, key, asked.path, asked.params, fake.world.now())
    if saved:
        asked.replayed = True
        response = _response(saved)
        response.headers["Idempotent-Replayed"] = "true"
        response.headers["Original-Request"] = saved.request
    else:
        if fault and fault.how == "slow":
            await asyncio.sleep(fault.seconds)
        response = _response(_done(fake, operation, call, key, request_id, fault.how if fault else ""))
    return Reset() if fault and fault.how == "reset_after" else response


def _admitted(fake: Fake, request: Request) -> Account:
    """Whose objects the request is about; raises 401 without the right key, 403 for an account that is none of ours."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            given = ""
    if not given:
        raise StripeRefusal(401, "You did not provide an API key.")
    if given != fake.settings.api_key:
        raise StripeRefusal(401, f"Invalid API Key provided: {given[:7]}****{given[-4:]}")
    return fake.world.account(request.headers.get("stripe-account", ""))


def _read(account: Account, asked: Asked) -> tuple[Operation, Call]:
    found = find(asked.method, asked.path)
    if found is None or found[0].template not in HANDLERS:
        raise StripeRefusal(404, f"Unrecognized request URL ({asked.method}: {asked.path}).")
    operation, path = found
    asked.template = operation.template
    asked.params = read(operation, asked.params)
    return operation, Call(account, path, asked.params)


def _early(fault: Fault | None) -> Response | None:
    """What goes wrong before anything is done or saved."""
    match fault.how if fault else "":
        case "429":
            refusal = StripeRefusal(429, "Request rate limit exceeded.", code="rate_limit")
            response = _response(Answer(429, {"error": refusal.error}, ""))
            response.headers["Retry-After"] = "1"
            return response
        case "503":
            raise StripeRefusal(503, _OWN_FAULT, kind="api_error")
        case "timeout":
            return Silence()
        case "reset_before":
            return Reset()
    return None


def _done(fake: Fake, operation: Operation, call: Call, key: str | None, request_id: str, how: str) -> Answer:
    """The deed, and its answer saved under the key, whatever it is."""
    with fake.lock:
        fake.world.cause = {"id": request_id, "idempotency_key": key}
        try:
            done = Answer(200, _deed(fake, operation, call, how), request_id)
        except StripeRefusal as refusal:
            done = Answer(refusal.status, {"error": refusal.error}, request_id)
        finally:
            fake.world.cause = NOBODY
        if key is not None:
            fake.keys.end(call.account.key, key, done)
        return done


def _deed(fake: Fake, operation: Operation, call: Call, how: str) -> Json:
    if how == "500":
        raise StripeRefusal(500, _OWN_FAULT, kind="api_error")
    if how == "insufficient_funds":
        raise connect.no_funds()
    fake.tick()
    thing = HANDLERS[operation.template](call)
    if how == "500_after":
        raise StripeRefusal(500, _OWN_FAULT, kind="api_error")
    return answer(call.account, thing, call.params.get("expand", []))


def _response(answered: Answer) -> Response:
    body = json.dumps(answered.body, indent=2, ensure_ascii=False)
    return Response(body, answered.status, media_type="application/json")
