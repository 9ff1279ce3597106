"""Bringing a centre along: a rehearsal of what files would add, its application, and what was applied before."""

from collections.abc import Iterable
from typing import Any

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.schemas.base import Listing, su
from api.http.schemas.imports import ImportApply, ImportIn, ImportOptions, ImportOut, ImportPlanOut
from api.http.schemas.oversight import ApprovalOut
from domain.access import Permission
from domain.errors import Fault, Invalid
from lifecycle.brought import Batch
from lifecycle.imports import rehearse, show
from lifecycle.imports.plan import Plan
from lifecycle.imports.words import Finding, Options, read_zone

routes = Routes("imports")

BODY_BYTES = 64 * 2**20
SHOWN = 1_000


@routes.post("/imports/check", Permission.IMPORT, ImportPlanOut, status=200, writes=False, max_body_size=BODY_BYTES)
def check_import(call: Call, body: ImportIn) -> dict[str, Any]:
    """Read files and say what an import would add, what differs and what does not map. Nothing is changed."""
    call.need_centre()
    files, options = _files(body), _options(body)
    found = rehearse.rehearse(call.uow, call.caller, rehearse.read(body.kind, files, options), options, call.now_ms)
    return _show(body.kind, options, found, None)


@routes.post(
    "/imports",
    Permission.IMPORT,
    ImportPlanOut,
    max_body_size=BODY_BYTES,
    also={200: ImportPlanOut, 202: ApprovalOut},
)
def apply_import(call: Call, body: ImportApply) -> dict[str, Any]:
    """Do what was rehearsed, all of it or nothing. 409 if the digest is not of what it would be now.

    What is there already is not added again: an import that has nothing to add answers with 200.
    """
    call.need_centre()
    files, options = _files(body), _options(body)
    bundle = rehearse.read(body.kind, files, options)
    found, batch = rehearse.apply(
        call.uow, call.caller, body.kind, bundle, options, body.digest, body.reason, call.now_ms
    )
    call.status = 200 if batch is None else 201
    call.wakes, call.rehearsed = batch is not None, batch is None
    if batch is not None:
        call.take_two(lambda rules: rules.any, digest=batch.digest, counts=dict(batch.counts))
        call.facts |= {"import": batch.id, "digest": batch.digest, "counts": dict(batch.counts)}
    return _show(body.kind, options, found, batch)


@routes.get("/imports", Permission.IMPORT, Listing[ImportOut])
def list_imports(call: Call, cursor: Cursor = None, limit: Limit = 100) -> dict[str, Any]:
    """Every import that was applied, the first one first."""
    call.need_centre()
    found = call.uow.imports.batches(paging.page(cursor, limit))
    authors = call.uow.people.user_names([one.user_id for one in found])
    return paging.answer(
        found, limit, lambda one: one.id,
        lambda one: {
            "id": one.id, "kind": one.kind, "origin": one.origin, "digest": one.digest,
            "author": authors.get(one.user_id), "reason": one.reason, "created_ms": one.created_ms,
            "counts": dict(one.counts),
        },
    )  # fmt: skip


def _files(body: ImportIn) -> dict[str, str]:
    files = {file.name: file.text for file in body.files}
    if len(files) < len(body.files):
        raise Invalid("two files have the same name", "files", fix="give each another")
    return files


def _options(body: ImportIn) -> Options:
    """Raises Invalid with every fault of the options."""
    said: ImportOptions = body.options
    attributes = [(one.name, su(one.su, f"options.su_attributes.{n}.su")) for n, one in enumerate(said.su_attributes)]
    wrong = [
        Fault("must be more than 0", f"options.su_attributes.{n}.su")
        for n, (_, one) in enumerate(attributes)
        if not one
    ]
    if wrong:
        raise Invalid.many(wrong)
    return Options(
        origin=said.origin or ("slurm" if body.kind == "sacct" else body.kind), tenant=said.tenant,
        tenant_kind=said.tenant_kind, funder=said.funder, zone=read_zone(said.timezone, "options.timezone"),
        su_attributes=tuple(attributes), tenants=said.tenants, projects=said.projects, users=said.users,
        gpus=said.gpus, charge=said.charge,
    )  # fmt: skip


def _show(kind: str, options: Options, found: Plan, batch: Batch | None) -> dict[str, Any]:
    return {
        "id": None if batch is None else batch.id,
        "kind": kind,
        "origin": options.origin,
        "digest": found.digest(kind, options),
        "applied": batch is not None,
        "summary": [
            {"what": one.what, "add": one.add, "there": one.there, "differs": one.differs, "unmapped": one.unmapped}
            for one in show.summary(found)
        ],
        "adds": _lines(show.adds(found, SHOWN)),
        "differs": _lines(found.differs[:SHOWN]),
        "unmapped": _lines(found.unmapped[:SHOWN]),
        "notes": found.notes[:SHOWN],
    }


def _lines(found: Iterable[Finding]) -> list[dict[str, str]]:
    return [{"what": one.what, "name": one.name, "detail": one.why, "place": one.place} for one in found]
