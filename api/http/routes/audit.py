"""The audit trail, the signed heads of its tree, the keys that signed them, and proofs for outsiders."""

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from api.http import paging, trail
from api.http.call import Call
from api.http.declare import Routes
from api.http.guard import act, look
from api.http.paging import Cursor, Limit, Number
from api.http.schemas.audit import ConsistencyOut, EntryOut, EraseIn, HeadOut, InclusionOut, KeyOut, LogOut, OneEntryOut
from api.http.schemas.base import Listing
from api.http.services import Services
from domain.access import Permission
from domain.errors import NotFound
from lifecycle import proofs
from lifecycle.export import Export
from lifecycle.holds import check_entry_free
from lifecycle.keys import valid_until
from lifecycle.trail import log_of
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry, Kind, PublicKey, TreeHead
from quotas.notes import signed_note, verifier_key

routes = Routes("audit")

_FORMAT = "baray-proof/1"
When = Annotated[int | None, Query(ge=0, le=2**53, description="ms since the epoch, UTC")]
Text = Annotated[str | None, Query(min_length=1, max_length=200)]
Size = Annotated[int, Query(ge=1, le=2**53, description="how many leaves the head's tree has")]


@routes.get("/audit/entries", Permission.AUDIT_READ, Listing[EntryOut])
def list_entries(
    call: Call,
    action: Text = None,
    subject: Text = None,
    person: Text = None,
    request_id: Annotated[str | None, Query(pattern="^[A-Za-z0-9._-]{1,100}$")] = None,
    from_ms: When = None,
    until_ms: When = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> dict[str, Any]:
    """Who did what, newest first. `subject` is the beginning of an address, such as `/projects/speech`; `person` a user
    whom they are by, for or about.
    """
    call.need_centre()
    user = None if person is None else call.uow.people.user(_plain(person) or "")
    if person is not None and user is None:
        return {"items": [], "next": None}
    where = EntryFilter(
        _plain(action), _plain(subject), from_ms, until_ms, None if user is None else user.id, request_id
    )
    found = call.uow.audit.page(paging.page(cursor, limit), where)
    return paging.answer(found, limit, lambda entry: entry.id, _show_entry)


@routes.get("/audit/entries/{entry_id}", Permission.AUDIT_READ, OneEntryOut)
def get_entry(call: Call, entry_id: Number) -> dict[str, Any]:
    """All of an entry, with the leaf under which it is sealed, and whether a signed head is over it."""
    call.need_centre()
    entry = _entry(call, entry_id)
    leaf, head = call.uow.seals.leaf_of(Kind.AUDIT, entry.id), call.uow.seals.last_head()
    index = None if leaf is None else leaf.index
    return {**_show_entry(entry), "leaf": index, "signed": index is not None and head is not None and index < head.size}


@routes.flow("GET", "/audit/export", Permission.AUDIT_READ, media="application/jsonl")
async def export_entries(
    request: Request,
    from_ms: Annotated[int, Query(ge=0, le=2**53, description="ms since the epoch, UTC")] = 0,
    until_ms: When = None,
    personal: Annotated[bool, Query(description="with who and why: this leaves an audit entry")] = False,
) -> StreamingResponse:
    """The entries of a time as a file that the standalone verifier proves without the centre; see docs/audit.md."""
    services: Services = request.app.state.services
    now_ms = services.clock.now_ms()
    export = Export(from_ms, now_ms if until_ms is None else until_ms, personal)

    def begin(call: Call) -> bytes:
        call.need_centre()
        if personal:
            call.facts.update(from_ms=export.from_ms, until_ms=export.until_ms)
            trail.leave(call, request, export_entries.__name__, "/audit/export", {}, {})
        return export.begin(call.uow)

    def more() -> bytes:
        with services.store.read() as uow:
            return export.more(uow)

    first = await run_in_threadpool(act if personal else look, request, Permission.AUDIT_READ, begin)

    async def lines() -> AsyncIterator[bytes]:
        text = first
        while text:
            yield text
            text = await run_in_threadpool(more)

    return StreamingResponse(lines(), media_type="application/jsonl", headers={"Cache-Control": "no-store"})


@routes.post("/audit/entries/{entry_id}/erase", Permission.AUDIT_ERASE, EntryOut, status=200)
def erase_entry(call: Call, entry_id: Number, body: EraseIn) -> dict[str, Any]:  # noqa: ARG001 - the guard keeps the reason
    """Erase who and why of an entry for good, unless a legal hold covers somebody in it. What was done stays, and the tree
    still holds.
    """
    call.need_centre()
    _entry(call, entry_id)
    check_entry_free(call.uow, entry_id)
    call.uow.audit.erase([entry_id])
    return _show_entry(_entry(call, entry_id))


@routes.get("/me/log", Permission.DATA_OWN, Listing[LogOut])
def list_my_log(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """What you did, what others did on your behalf, and what was done to what is yours; who, and why. Newest first."""
    found = log_of(call.uow, call.caller.user, paging.page(cursor, limit))
    return paging.answer(found, limit, lambda line: line.id, lambda line: {**asdict(line), "how": list(line.how)})


@routes.get("/audit/heads", Permission.HEAD_READ, Listing[HeadOut])
def list_heads(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Every signed head of the tree, newest first."""
    found = call.uow.seals.heads_back(paging.page(cursor, limit))
    keys = _keys(call)
    return paging.answer(found, limit, lambda head: head.number, lambda head: _show_head(head, keys))


@routes.get("/audit/heads/latest", Permission.HEAD_READ, HeadOut)
def get_latest_head(call: Call) -> dict[str, Any]:
    """The newest signed head. Keep its note: it is how you will know if anything before it is ever changed."""
    head = call.uow.seals.last_head()
    if head is None:
        raise NotFound("no head is signed yet", "head", fix="ask again in a minute")
    return _show_head(head, _keys(call))


@routes.get("/audit/keys", Permission.HEAD_READ, Listing[KeyOut])
def list_keys(call: Call) -> dict[str, Any]:
    """Every key that ever signed heads, oldest first."""
    keys = call.uow.seals.public_keys()
    shown = [
        {
            "id": key.id, "name": key.name, "key": verifier_key(key), "from_ms": key.from_ms,
            "until_ms": valid_until(key, keys),
        }
        for key in keys
    ]  # fmt: skip
    return {"items": shown, "next": None}


@routes.get("/audit/proof/inclusion", Permission.AUDIT_READ, InclusionOut)
def prove_inclusion(
    call: Call,
    kind: Kind,
    id_: Annotated[
        str, Query(alias="id", min_length=1, max_length=200, description="a number, or a transaction's name")
    ],
) -> dict[str, Any]:
    """That a row is under the newest head: a file for the standalone verifier."""
    call.need_centre()
    found = proofs.inclusion(call.uow, kind, _plain(id_) or "")
    return {
        "format": _FORMAT,
        "type": "inclusion",
        "kind": found.kind.value,
        "row": found.row,
        "index": found.index,
        "leaf": found.text.decode(),
        "path": [one.hex() for one in found.path],
        "note": signed_note(found.head, found.key),
        "key": verifier_key(found.key),
    }


@routes.get("/audit/proof/consistency", Permission.HEAD_READ, ConsistencyOut)
def prove_consistency(
    call: Call,
    from_: Annotated[int, Query(alias="from", ge=1, le=2**53, description="how many leaves the head's tree has")],
    to: Annotated[int | None, Query(ge=1, le=2**53, description="the newest head, if left out")] = None,
) -> dict[str, Any]:
    """That the tree of one head begins with that of an earlier one: a file for the standalone verifier."""
    found = proofs.consistency(call.uow, from_, to)
    return {
        "format": _FORMAT,
        "type": "consistency",
        "path": [one.hex() for one in found.path],
        "old_note": signed_note(found.old, found.old_key),
        "old_key": verifier_key(found.old_key),
        "note": signed_note(found.new, found.new_key),
        "key": verifier_key(found.new_key),
    }


def _entry(call: Call, entry_id: int) -> AuditEntry:
    entry = call.uow.audit.get(entry_id)
    if entry is None:
        raise NotFound(f"there is no audit entry {entry_id}", "entry_id")
    return entry


def _plain(text: str | None) -> str | None:
    """What cannot be in the database is not found there."""
    return None if text is None else text.encode(errors="replace").decode()


def _keys(call: Call) -> dict[int, PublicKey]:
    return {key.id: key for key in call.uow.seals.public_keys()}


def _show_entry(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at_ms": entry.at_ms,
        "action": entry.action,
        "subject": entry.subject,
        "facts": json.loads(entry.facts),
        "commitment": None if entry.commitment is None else entry.commitment.hex(),
        "personal": entry.personal,
        "salt": None if entry.salt is None else entry.salt.hex(),
    }


def _show_head(head: TreeHead, keys: dict[int, PublicKey]) -> dict[str, Any]:
    return {
        "number": head.number,
        "size": head.size,
        "root": head.root.hex(),
        "at_ms": head.at_ms,
        "key": head.key_id,
        "note": signed_note(head, keys[head.key_id]),
    }
