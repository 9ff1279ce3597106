"""What operations do, where their own first words do not say it; the tags; and which operation follows on which."""

from collections.abc import Mapping
from typing import NamedTuple

TAGS: Mapping[str, str] = {
    "accounts": "Tenants, projects, groups, members, secrets, quotas and limits: the account tree.",
    "acting": "Support acts on behalf of a user, who sees it.",
    "allocations": "What projects may spend: asked for, decided and changed.",
    "approvals": "What takes a second person: the rules, and the requests that wait for one.",
    "audit": "The audit trail, and the signed tree that holds it.",
    "budgets": "Notices of budgets, and the rules that take unused SU back.",
    "charging": "Rules of charging, refunds, adjustments, closed months.",
    "clusters": "Where jobs run.",
    "fleet": "Flavors and their rates.",
    "funders": "Officers of funders, who see what the funder's money does.",
    "gates": "What a job must pass before it may start, and the terms of use.",
    "grants": "Who pays.",
    "history": "What ran, and the centre as a scenario.",
    "imports": "Bringing accounts and past use from another centre.",
    "jobs": "Submit, look, control, explain.",
    "logs": "What jobs write: logs, outputs; and the source that they run.",
    "logins": "Passwords, and logins of devices (RFC 8628).",
    "people": "Users, their roles and tokens.",
    "permissions": "Who may do what.",
    "pods": "For the pods of jobs alone.",
    "policy": "What the planner decides by.",
    "privacy": "Personal data: what is kept and why, one's own, erasure, retention and legal holds.",
    "reservations": "The calendar: what is kept for whom, and maintenance.",
    "system": "Whether the service runs, and how.",
    "usage": "What was used, and what it cost.",
    "xroad": "Which systems of other governments may ask what.",
}

OPERATIONS: Mapping[str, str] = {
    "add_funder": "Add somebody who gives grants.",
    "add_member": "Give a user a role on the project.",
    "add_project": "Add a project of a tenant, with its lead if one is named.",
    "add_user": "Add a user. They have no rights until somebody gives them a role.",
    "change_project": "Change the title, weight or state of a project.",
    "decline_allocation": "Say no to a request.",
    "decline_change": "Say no to a change that was asked for.",
    "delete_quota": "Remove the quota of an account on a flavor: nothing limits it there any more but what is above it.",
    "delete_secret": "Remove a secret. Jobs that name it are refused from then on.",
    "get_account": "Show an account of the tree.",
    "get_allocation": "Show an allocation, with what is left of it.",
    "get_cluster": "Show a cluster and its nodes.",
    "get_entry": "Show an entry of the audit trail.",
    "get_flavor": "Show a flavor, and how much of it there is.",
    "get_grant": "Show a grant, and how much of it is given.",
    "get_job": "Show a job, with its tasks counted and its cost.",
    "get_limits": "Show the limits of an account.",
    "get_project": "Show a project.",
    "get_quota": "Show the quota of an account on a flavor.",
    "get_reservation": "Show a reservation, and the next times of it.",
    "get_secret": "Show that there is a secret, never its value.",
    "get_tenant": "Show a tenant.",
    "get_user": "Show a user.",
    "get_xroad_client": "Show a right of a member.",
    "give_role": "Give a user a role on an account.",
    "hold_job": "Hold a job that waits, until somebody releases it.",
    "list_attempts": "List the attempts of a job or task, oldest first.",
    "list_clusters": "List the clusters and their nodes.",
    "list_flavors": "List the flavors, and how much of each there is.",
    "list_funders": "List who gives grants.",
    "list_grants": "List the grants, and how much of each is given.",
    "list_members": "List the members of a project.",
    "list_projects": "List the projects that the caller may see.",
    "list_roles": "List the roles of a user.",
    "list_tenants": "List the tenants that the caller may see.",
    "list_tokens": "List the tokens of a user, never their texts.",
    "list_users": "List the users.",
    "put_limits": "Set the limits of an account; what is left out is no limit.",
    "put_secret": "Set a secret of a project. Its value is kept encrypted and never shown.",
    "release_job": "Release a job that is held.",
    "remove_member": "Take a user's roles on the project.",
    "resume": "Let a suspended allocation pay again.",
    "take_role": "Take a role from a user.",
}


class Link(NamedTuple):
    """What an answer of ``source`` leads to: the parameters of ``target``, from what was answered or asked."""

    source: str
    status: int
    target: str
    parameters: Mapping[str, str]


def _links() -> tuple[Link, ...]:
    by_name = {"name": "$response.body#/name"}
    by_path = {"name": "$request.path.name"}
    job = {"job": "$response.body#/id"}
    allocation = {"allocation_id": "$response.body#/id"}
    changed = {"allocation_id": "$response.body#/allocation/id"}
    after: dict[tuple[str, int], list[tuple[str, Mapping[str, str]]]] = {
        ("add_tenant", 201): [("get_tenant", by_name), ("change_tenant", by_name), ("get_account", by_name)],
        ("add_project", 201): [
            ("get_project", by_name), ("change_project", by_name), ("list_members", by_name),
            ("add_member", by_name), ("list_secrets", by_name), ("get_account", by_name),
        ],
        ("add_member", 201): [
            ("remove_member", {**by_path, "user": "$response.body#/user"}), ("list_members", by_path),
        ],
        ("add_account", 201): [("get_account", by_name), ("change_account", by_name), ("move_account", by_name)],
        ("put_secret", 200): [
            (what, {**by_path, "secret": "$request.path.secret"}) for what in ("get_secret", "delete_secret")
        ],
        ("put_quota", 200): [
            (what, {"account": "$request.path.account", "flavor": "$request.path.flavor"})
            for what in ("get_quota", "delete_quota")
        ],
        ("put_limits", 200): [("get_limits", {"account": "$request.path.account"})],
        ("add_user", 201): [
            (what, by_name) for what in ("get_user", "give_role", "list_roles", "issue_token", "list_tokens")
        ],
        ("give_role", 201): [
            ("take_role", {**by_path, "account": "$response.body#/account", "role": "$response.body#/role"}),
        ],
        ("issue_token", 201): [("revoke_token", {"token_id": "$response.body#/id"})],
        ("add_flavor", 201): [("get_flavor", by_name), ("add_rate", by_name), ("list_rates", by_name)],
        ("add_grant", 201): [
            ("get_grant", {"grant_id": "$response.body#/id"}), ("change_grant", {"grant_id": "$response.body#/id"}),
        ],
        ("add_allocation", 201): [
            (what, allocation)
            for what in ("get_allocation", "list_decisions", "top_up", "extend", "suspend", "reclaim", "close")
        ],
        ("request_allocation", 201): [
            (what, allocation)
            for what in ("get_allocation", "approve_allocation", "decline_allocation", "withdraw_allocation")
        ],
        ("suspend", 200): [("resume", changed)],
        ("add_reservation", 201): [("get_reservation", by_name), ("remove_reservation", by_name)],
        ("require_gate", 201): [("drop_gate", {"gate_id": "$response.body#/id"})],
        ("submit_job", 201): [
            (what, job)
            for what in (
                "get_job", "change_job", "hold_job", "release_job", "cancel_job", "requeue_job", "list_tasks",
                "list_attempts", "why", "read_logs", "list_outputs",
            )
        ],
        ("hold_job", 200): [("release_job", job)],
        ("list_entries", 200): [("get_entry", {"entry_id": "$response.body#/items/0/id"})],
        ("list_changes", 200): [
            (what, {"change_id": "$response.body#/items/0/id"})
            for what in ("approve_change", "decline_change", "withdraw_change")
        ],
    }  # fmt: skip
    return tuple(
        Link(source, status, target, parameters)
        for (source, status), targets in after.items()
        for target, parameters in targets
    )


LINKS = _links()
