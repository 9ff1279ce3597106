"""Usage reports."""

from typing import Annotated, Any

from fastapi import Query

from api.http.call import Call
from api.http.declare import Routes
from api.http.funded import own_grants
from api.http.schemas.centre import UsageOut
from domain.access import Permission
from domain.quantities import format_su
from lifecycle.report import Line, usage

routes = Routes("usage")

When = Annotated[int | None, Query(ge=0, le=2**53, description="ms since the epoch, UTC")]


@routes.get("/usage", Permission.USAGE_READ, UsageOut)
def show_usage(
    call: Call, by: str = "project", from_ms: When = None, to_ms: When = None, account: str | None = None
) -> dict[str, Any]:
    """GPU time and SU by tenant, project, funder or user: sums over the ledger, compared with the meters.

    `agrees` says whether the ledger and the meters tell the same, to the GPU-millisecond. To officers of a funder it is
    null: they see the parts that their funder paid, and the meters know of wholes alone.
    """
    below = None
    if account is not None:
        tree, found = call.directory.tree, call.directory.by_name.get(account)
        below = frozenset(one for one, path in tree.paths.items() if found is not None and found.id in path)
    statement = usage(call.uow, by, from_ms, to_ms, call.visible(), own_grants(call), below)
    return {
        "by": by,
        "from_ms": from_ms,
        "to_ms": to_ms,
        "rows": [_show(line) for line in statement.lines],
        "total": _show(statement.total),
        "metered": dict(sorted((statement.metered or {}).items())),
        "agrees": statement.agrees,
    }


def _show(line: Line) -> dict[str, Any]:
    return {
        "key": line.key,
        "gpu_ms": dict(line.gpu_ms),
        "total_gpu_ms": line.total_gpu_ms,
        "charged_su": format_su(line.charged),
    }
