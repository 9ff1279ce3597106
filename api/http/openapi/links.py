"""Which operation follows on which: what an answer holds of the next one's parameters."""

from collections.abc import Mapping
from typing import NamedTuple


class Link(NamedTuple):
    """What an answer of ``source`` leads to: the parameters of ``target``, from what was answered or asked."""

    source: str
    status: int
    target: str
    parameters: Mapping[str, str]


_BY_NAME: Mapping[str, str] = {"name": "$response.body#/name"}
_BY_PATH: Mapping[str, str] = {"name": "$request.path.name"}
_JOB: Mapping[str, str] = {"job": "$response.body#/id"}
_ALLOCATION: Mapping[str, str] = {"allocation_id": "$response.body#/id"}
_CHANGED: Mapping[str, str] = {"allocation_id": "$response.body#/allocation/id"}
_AFTER: dict[tuple[str, int], list[tuple[str, Mapping[str, str]]]] = {
    ("add_tenant", 201): [("get_tenant", _BY_NAME), ("change_tenant", _BY_NAME), ("get_account", _BY_NAME)],
    ("add_project", 201): [
        ("get_project", _BY_NAME), ("change_project", _BY_NAME), ("list_members", _BY_NAME),
        ("add_member", _BY_NAME), ("list_secrets", _BY_NAME), ("get_account", _BY_NAME),
    ],
    ("add_member", 201): [
        ("remove_member", {**_BY_PATH, "user": "$response.body#/user"}), ("list_members", _BY_PATH),
    ],
    ("add_account", 201): [("get_account", _BY_NAME), ("change_account", _BY_NAME), ("move_account", _BY_NAME)],
    ("put_secret", 200): [
        (what, {**_BY_PATH, "secret": "$request.path.secret"}) for what in ("get_secret", "delete_secret")
    ],
    ("put_quota", 200): [
        (what, {"account": "$request.path.account", "flavor": "$request.path.flavor"})
        for what in ("get_quota", "delete_quota")
    ],
    ("put_limits", 200): [("get_limits", {"account": "$request.path.account"})],
    ("add_user", 201): [
        (what, _BY_NAME) for what in ("get_user", "give_role", "list_roles", "issue_token", "list_tokens")
    ],
    ("give_role", 201): [
        ("take_role", {**_BY_PATH, "account": "$response.body#/account", "role": "$response.body#/role"}),
    ],
    ("issue_token", 201): [("revoke_token", {"token_id": "$response.body#/id"})],
    ("add_flavor", 201): [("get_flavor", _BY_NAME), ("add_rate", _BY_NAME), ("list_rates", _BY_NAME)],
    ("add_grant", 201): [
        ("get_grant", {"grant_id": "$response.body#/id"}), ("change_grant", {"grant_id": "$response.body#/id"}),
    ],
    ("add_allocation", 201): [
        (what, _ALLOCATION)
        for what in ("get_allocation", "list_decisions", "top_up", "extend", "suspend", "reclaim", "close")
    ],
    ("request_allocation", 201): [
        (what, _ALLOCATION)
        for what in ("get_allocation", "approve_allocation", "decline_allocation", "withdraw_allocation")
    ],
    ("suspend", 200): [("resume", _CHANGED)],
    ("add_reservation", 201): [("get_reservation", _BY_NAME), ("remove_reservation", _BY_NAME)],
    ("require_gate", 201): [("drop_gate", {"gate_id": "$response.body#/id"})],
    ("submit_job", 201): [
        (what, _JOB)
        for what in (
            "get_job", "change_job", "hold_job", "release_job", "cancel_job", "requeue_job", "list_tasks",
            "list_attempts", "why", "read_logs", "list_outputs",
        )
    ],
    ("hold_job", 200): [("release_job", _JOB)],
    ("list_entries", 200): [("get_entry", {"entry_id": "$response.body#/items/0/id"})],
    ("list_changes", 200): [
        (what, {"change_id": "$response.body#/items/0/id"})
        for what in ("approve_change", "decline_change", "withdraw_change")
    ],
}  # fmt: skip
LINKS = tuple(
    Link(source, status, target, parameters)
    for (source, status), targets in _AFTER.items()
    for target, parameters in targets
)
