"""What a rehearsal starts from: the centre's own history, and the centre as it is."""

from typing import Annotated, Any

from fastapi import Query

from api.http import paging
from api.http.call import Call
from api.http.declare import Routes
from api.http.paging import Cursor, Limit
from api.http.schemas.base import Listing
from api.http.schemas.history import PastOut, ScenarioOut
from domain.access import Permission
from domain.ids import TaskId
from lifecycle import history
from lifecycle.accounts import CENTRE
from lifecycle.past import Past

routes = Routes("history")

When = Annotated[int | None, Query(ge=0, le=2**53, description="ms since the epoch, UTC")]


@routes.get("/history", Permission.HISTORY_READ, Listing[PastOut])
def list_history(
    call: Call, from_ms: When = None, until_ms: When = None, cursor: Cursor = None, limit: Limit = 100
) -> dict[str, Any]:
    """What ran to its end, oldest attempt first, of the jobs submitted from `from_ms` and before `until_ms`."""
    call.need_centre()
    found = call.uow.history.page(cursor, limit + 1, from_ms, until_ms)
    return paging.answer(found, limit, lambda past: past.row, lambda past: _show(call, past))


@routes.get("/scenario", Permission.HISTORY_READ, ScenarioOut)
def show_scenario(call: Call, from_ms: When = None, until_ms: When = None) -> dict[str, Any]:
    """The centre as it is, as a document that `baray simulate` takes and changes.

    With the reservations between two times: from `from_ms` (a year before) until `until_ms` (now).
    """
    call.need_centre()
    return history.scenario(call.uow, call.now_ms, from_ms, until_ms)


def _show(call: Call, past: Past) -> dict[str, Any]:
    tree = call.directory.tree
    tenant = tree.tenant_of(past.project_id)
    return {
        "job": past.name or str(TaskId(past.job_id, past.index)),
        "tenant": CENTRE if tenant is None else tenant.name,
        "project": tree.accounts[past.project_id].name,
        "user": past.user,
        "qos": past.qos,
        "flavor": past.flavor,
        "gpus": past.gpus,
        "nodes": past.nodes,
        "cpus": past.cpus,
        "memory_bytes": past.memory_bytes,
        "submitted_ms": past.submitted_ms,
        "started_ms": past.started_ms,
        "ended_ms": past.ended_ms,
        "walltime_ms": past.walltime_ms,
        "state": past.state,
    }
