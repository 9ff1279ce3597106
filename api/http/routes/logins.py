"""Logging in without a browser of one's own (RFC 8628), and one's own password.

Two routes take no token, for who calls them has none yet: each tells nothing without a code that cannot be guessed, and
both are held back by address.
"""

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from api.http import problems, trail
from api.http.addresses import neighbourhood
from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import act, look
from api.http.rates import note_failure
from api.http.schemas.people import ApprovedOut, ClaimIn, ClaimOut, CodeIn, DeviceIn, DeviceOut, PasswordIn
from api.http.services import Services
from domain.access import Permission
from domain.errors import Conflict, NotAllowed, NotFound, NotLoggedIn
from domain.logins import DeviceLogin
from domain.people import User
from lifecycle import devices, passwords

routes = Routes("logins")
public = APIRouter(tags=["logins"])

# Routes that take no token, below the API's prefix, each with why.
PUBLIC = {
    "/login/device": "a device begins a login, and learns nothing but a code of its own",
    "/login/token": "a device asks what became of its login, with the code that only it has",
}


@public.post(
    "/login/device",
    openapi_extra={"x-public": PUBLIC["/login/device"]},
    response_model=DeviceOut,
    responses=problems.DECLARED,
)
def begin_device_login(request: Request, response: Response, body: DeviceIn) -> dict[str, Any]:
    """Begin a login of a device without a browser: what it shows to its user, and what it asks with."""
    services: Services = request.app.state.services
    with services.store.write() as uow:
        device, code = devices.begin(uow, body.client, neighbourhood(request.scope), services.clock.now_ms())
    response.headers["Cache-Control"] = "no-store"
    page = f"{services.public_url or str(request.base_url).rstrip('/')}/device"
    return {
        "device_code": code, "user_code": device.user_code, "verification_uri": page,
        "verification_uri_complete": f"{page}?user_code={device.user_code}",
        "expires_in": devices.LASTS_MS // 1_000, "interval": device.interval_ms // 1_000,
    }  # fmt: skip


@public.post(
    "/login/token",
    openapi_extra={"x-public": PUBLIC["/login/token"]},
    response_model=ClaimOut,
    responses=problems.DECLARED,
)
def claim_device_login(request: Request, response: Response, body: ClaimIn) -> dict[str, Any]:
    """The token of a device's login, once, as soon as it is approved.

    Until then the problem's `error` is `authorization_pending`; `slow_down` asks for 5 s more between two questions;
    after `access_denied` and `expired_token` there is nothing to wait for.
    """
    services: Services = request.app.state.services
    now_ms = services.clock.now_ms()
    try:
        token, text = devices.claim(services.store, body.device_code, now_ms, services.lifetimes.login_ms)
    except Conflict as error:
        if error.code == "expired_token":
            note_failure(request)
        raise
    with services.store.read() as uow:
        user = uow.people.user_names([token.user_id])[token.user_id]
    response.headers["Cache-Control"] = "no-store"
    lasts_ms = (token.expires_ms or now_ms) - now_ms
    return {"access_token": text, "token_type": "Bearer", "expires_in": lasts_ms // 1_000, "user": user}


@routes.flow(
    "POST", "/login/device/approve", Permission.SELF, response_model=ApprovedOut, extra={"x-audit": "an entry"}
)
async def approve_device(request: Request, body: CodeIn) -> dict[str, Any]:
    """Approve or deny a device's login, in a browser's session and for oneself alone. Guesses count as failed logins."""
    return await run_in_threadpool(_approve_device, request, body)


def _approve_device(request: Request, body: CodeIn) -> dict[str, Any]:
    def decide(call: Call) -> dict[str, Any]:
        device = devices.decide(call.uow, body.user_code, call.caller, body.approve, call.now_ms)
        call.facts |= {"device": device.id, "decision": device.state.value}
        trail.leave(call, request, "approve_device", "/login/device/approve", {"body": body}, {})
        return _show(device)

    try:
        return act(request, Permission.SELF, decide)
    except NotFound:
        note_failure(request)
        raise


@routes.flow("POST", "/me/password", Permission.SELF, status_code=204, extra={"x-audit": "an entry"})
async def change_password(request: Request, body: PasswordIn) -> None:
    """Choose another password. All other sessions and logins of one's own end; a wrong old one counts as a failed login."""
    await run_in_threadpool(_change_password, request, body)


def _change_password(request: Request, body: PasswordIn) -> None:
    services: Services = request.app.state.services
    hasher = passwords.needed(services.passwords)
    user = look(request, Permission.SELF, _themselves)
    try:
        hashed = passwords.renewed(services.store, hasher, user, body.old, body.new, services.clock.now_ms())
    except NotLoggedIn:
        note_failure(request)
        # The token is good: what is wrong is what was typed.
        raise NotAllowed(
            "the old password is wrong",
            "old",
            code="wrong-password",
            fix="wait a while if it was wrong often; who has none gets a one-time password from an administrator",
        ) from None

    def put(call: Call) -> None:
        token = call.caller.token  # a session of a one-time password has done what it was for
        passwords.put(call.uow, user, hashed, call.now_ms, token.id if token.scopes is None else None)
        call.status = 204
        trail.leave(call, request, "change_password", "/me/password", {"body": body}, {})

    act(request, Permission.SELF, put)


def _themselves(call: Call) -> User:
    if call.caller.acting_by is not None:
        raise NotAllowed("nobody chooses a password for another", fix="let them do it themselves")
    return call.caller.user


def _show(device: DeviceLogin) -> dict[str, Any]:
    return {
        "user_code": device.user_code, "client": device.client, "address": device.address, "state": device.state,
        "expires_ms": device.expires_ms,
    }  # fmt: skip
