"""What people may know and have done with their own data: see it, have it, correct it, ask to be erased."""

from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import IO, Any

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.http import trail
from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import act, look
from api.http.routes.admissions import show_user
from api.http.schemas.base import Listing
from api.http.schemas.privacy import AskIn, ChangeOut, DataIn, ErasureRequestOut, MeIn, MeOut, RegisterOut
from domain.access import Permission
from domain.errors import NotFound
from domain.people import User
from domain.personal import AUDIT, PLACES, RECORDS, Field, Record
from lifecycle import erasure, people
from lifecycle.accounts import check_version
from lifecycle.dossier import Dossier
from lifecycle.paging import Page
from lifecycle.rectify import rectify
from lifecycle.retention import terms_at

routes = Routes("privacy")

_CHUNK = 64 * 1024
_ZIP = "application/zip"


@routes.get("/personal-data", Permission.SELF, RegisterOut)
def get_register(call: Call) -> dict[str, Any]:
    """What the centre keeps about people, what for, on what basis, how long, and what becomes of it."""
    terms = terms_at(call.uow, call.now_ms)

    def shown(record: Record) -> dict[str, Any]:
        term = terms[record.keep]
        return {
            "kind": record.kind, "table": record.table, "says": record.says, "purpose": record.purpose,
            "basis": term.basis, "days": term.days, "since": term.since, "source": term.source,
            "fields": [_show_field(field) for field in record.fields],
        }  # fmt: skip

    places = [
        {
            "name": place.name, "says": place.says, "purpose": place.purpose, "days": terms[place.keep].days,
            "erased": place.goes,
        }
        for place in PLACES
    ]  # fmt: skip
    records = [shown(record) for record in (*RECORDS, AUDIT)]
    return {"records": records, "places": places, "contact": call.services.privacy_contact}


def _show_field(field: Field) -> dict[str, Any]:
    return {
        "column": field.column, "says": field.says, "erased": field.goes, "exported": not field.hidden,
        "why_not": field.hidden or None,
    }  # fmt: skip


@routes.get("/me", Permission.DATA_OWN, MeOut)
def get_me(call: Call) -> dict[str, Any]:
    """Who you are here. `If-Match` of a correction takes this answer's ETag."""
    return _show_me(call, call.caller.user)


@routes.patch("/me", Permission.DATA_OWN, MeOut)
def correct_me(call: Call, body: MeIn) -> dict[str, Any]:
    """Correct your own name in full, or your e-mail. What they were is kept sealed for a while: `GET /me/changes`."""
    user = call.caller.user
    check_version(user.version, call.if_match)
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    return _show_me(call, rectify(call.uow, call.services.vault, user, changes, user, call.now_ms))


@routes.get("/me/changes", Permission.DATA_OWN, Listing[ChangeOut])
def list_my_changes(call: Call) -> dict[str, Any]:
    """What your data was before it was corrected."""
    return _show_changes(call, call.caller.user)


@routes.get("/users/{name}/changes", Permission.DATA_READ, Listing[ChangeOut])
def list_changes_of_user(call: Call, name: str) -> dict[str, Any]:
    call.need_centre()
    return _show_changes(call, people.user_named(call.uow, name))


@routes.post("/me/erase-request", Permission.DATA_OWN, ErasureRequestOut)
def ask_erasure(call: Call, body: AskIn) -> dict[str, Any]:
    """Ask to be erased for good: administrators see it, and answer."""
    asked = erasure.ask(call.uow, call.caller.user, body.reason, call.now_ms)
    return {
        "user": call.caller.user.name, "asked_ms": asked.asked_ms, "reason": asked.reason,
        "contact": call.services.privacy_contact,
    }  # fmt: skip


@routes.delete("/me/erase-request", Permission.DATA_OWN)
def withdraw_erasure(call: Call) -> None:
    if not call.uow.custody.withdraw_erasure(call.caller.user.id):
        raise NotFound("you did not ask to be erased", "erase-request")


@routes.flow("GET", "/me/data", Permission.DATA_OWN, media=_ZIP)
async def export_me(request: Request) -> StreamingResponse:
    """All data about you: JSON, a table of each kind, and a page that explains them. Never a secret, nor others' data."""
    return await _sent(await run_in_threadpool(look, request, Permission.DATA_OWN, _own))


@routes.flow("POST", "/users/{name}/data", Permission.DATA_READ, media=_ZIP, extra={"x-audit": "an entry"})
async def export_person(request: Request, name: str, body: DataIn) -> StreamingResponse:
    """All data about somebody, for a reason that they can read in their own log."""

    def export(call: Call) -> IO[bytes]:
        call.need_centre()
        user = people.user_named(call.uow, name)
        trail.leave(call, request, "export_person", "/users/{name}/data", {"name": name, "body": body}, {})
        return _written(call, user)

    return await _sent(await run_in_threadpool(act, request, Permission.DATA_READ, export))


def _own(call: Call) -> IO[bytes]:
    return _written(call, call.caller.user)


def _written(call: Call, user: User) -> IO[bytes]:
    """Into a file that has no name and is gone once it was sent: no transaction waits for a slow line."""
    services = call.services
    file = TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    try:
        terms = terms_at(call.uow, call.now_ms)
        Dossier(call.uow, services.vault, user, terms, services.privacy_contact, call.now_ms).write(file)
    except BaseException:
        file.close()
        raise
    return file


async def _sent(file: IO[bytes]) -> StreamingResponse:
    headers = {
        "Content-Length": str(file.tell()), "Content-Disposition": 'attachment; filename="baray-data.zip"',
        "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
    }  # fmt: skip
    file.seek(0)
    return StreamingResponse(_pieces(file), media_type=_ZIP, headers=headers)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_CHUNK):
            yield piece


def _show_me(call: Call, user: User) -> dict[str, Any]:
    call.version(user.version)
    found = call.uow.custody.erasure_requests(Page(user.id - 1, 1))
    asked = next((one.asked_ms for one in found if one.user_id == user.id), None)
    return {**show_user(call, user), "erasure_asked_ms": asked, "contact": call.services.privacy_contact}


def _show_changes(call: Call, user: User) -> dict[str, Any]:
    found = call.uow.privacy.changes_of(user.id)
    names = call.uow.people.user_names([one.by_id for one in found])
    items = [
        {
            "id": one.id, "field": one.field, "before": call.services.vault.open(one.sealed),
            "changed_ms": one.changed_ms, "by": names.get(one.by_id),
        }
        for one in found
    ]  # fmt: skip
    return {"items": items, "next": None}
