"""The permission matrix as data: what each permission means, who has it, and which route needs it; and as a page."""

from typing import Any

from api.http.declare import DECLARED
from domain.access import (
    ACTABLE,
    ACTABLE_CHANGES,
    MATRIX,
    OF_FUNDERS,
    OPEN_TO_ALL,
    OPEN_TO_WAITING,
    STEP_UP,
    Permission,
    Role,
)
from domain.scopes import FOR_PEOPLE, SETS

_P = Permission

MEANINGS: dict[Permission, str] = {
    _P.SELF: "what is about the caller alone: who they are, their login, what they were told",
    _P.DATA_OWN: "all data about the caller: to see, to correct, to take along, to have erased",
    _P.FLEET_READ: "clusters, flavors, rates and prices",
    _P.FLEET_WRITE: "clusters, nodes, flavors and reservations",
    _P.ACCOUNT_READ: "accounts, members, quotas and limits",
    _P.TENANT_WRITE: "admit and change tenants",
    _P.PROJECT_WRITE: "projects and groups: add, change, move",
    _P.MEMBER_WRITE: "leads and members of projects",
    _P.USER_READ: "users and their roles",
    _P.USER_WRITE: "users: add, suspend, resume; their passwords and tokens (one's own tokens always)",
    _P.USER_ADMIT: "admit who waits for a tenant, or refuse them",
    _P.SERVICE_WRITE: "service accounts and their tokens",
    _P.ROLE_WRITE: "give and take roles",
    _P.SECRET_WRITE: "secrets of a project; their values are never shown",
    _P.QUOTA_WRITE: "quotas and limits",
    _P.GATE_WRITE: "gates, such as an ethics decision",
    _P.TERMS_WRITE: "versions of the terms of use",
    _P.MONEY_READ: "funders, grants, allocations and corrections",
    _P.MONEY_WRITE: "funders, grants, rates, prices, charging rules, refunds, adjustments, closed months",
    _P.ALLOCATION_REQUEST: "ask for allocations and for changes of them",
    _P.ALLOCATION_DECIDE: "decide allocations and changes of them, without a part in the project",
    _P.JOB_SUBMIT: "submit jobs",
    _P.JOB_READ: "jobs, their logs and outputs",
    _P.JOB_CONTROL: "cancel, hold, release, requeue and extend jobs, and enter them",
    _P.NOTICE_READ: "notices about budgets",
    _P.USAGE_READ: "usage",
    _P.METRICS_READ: "metrics, for monitoring",
    _P.POLICY_READ: "the policy and the rules in force",
    _P.POLICY_REVIEW: "past policies and rules; rehearsals",
    _P.POLICY_WRITE: "the planner's policy",
    _P.HISTORY_READ: "the centre's history, to simulate with",
    _P.AUDIT_READ: "the audit trail",
    _P.AUDIT_ERASE: "erase the personal part of an audit entry",
    _P.ACT: "act on behalf of users, with a reason, for a while",
    _P.APPROVAL_READ: "what waits for a second person, and what needs one",
    _P.APPROVAL_DECIDE: "be the second person, with the permission that the request itself needs",
    _P.OVERSIGHT_WRITE: "what needs a second person",
    _P.DATA_READ: "all data about another person",
    _P.DATA_ERASE: "erase another person's data",
    _P.HOLD_WRITE: "legal holds",
    _P.HEAD_READ: "signed heads of the audit tree, and the keys",
    _P.XROAD_WRITE: "which systems of other governments may ask what",
    _P.IMPORT: "bring another centre's accounts and past use along",
    _P.POD: "what the pod of a job needs, by the pass that it has; no role has it",
}

# Routes that the application itself declares, without the prefix of the API where the path begins with two slashes.
_SYSTEM = {("GET", "/status"): _P.SELF, ("GET", "//metrics"): _P.METRICS_READ}


def matrix() -> dict[str, Any]:
    """Everything, as ``GET /permissions`` answers it."""
    found = sorted({**DECLARED, **_SYSTEM}.items(), key=lambda one: (one[0][1], one[0][0]))
    return {
        "permissions": [_show(permission) for permission in Permission],
        "routes": [{"method": method, "path": path, "permission": needed.value} for (method, path), needed in found],
    }


def _show(permission: Permission) -> dict[str, Any]:
    return {
        "name": permission.value,
        "meaning": MEANINGS[permission],
        "roles": [role.value for role in Role if role in MATRIX[permission]],
        "everybody": permission in OPEN_TO_ALL,
        "waiting": permission in OPEN_TO_WAITING,
        "officers": permission in OF_FUNDERS,
        "acting": permission in ACTABLE,
        "acting_changes": permission in ACTABLE_CHANGES,
        "step_up": permission in STEP_UP,
    }


def page() -> str:
    """The matrix as Markdown."""
    found = matrix()
    roles = [role.value for role in Role if role is not Role.FUNDER]
    lines = [
        "# Permissions",
        "",
        "Made by `make permissions` from `domain/access.py` and the routes; `GET /permissions` and `baray admin permissions`",
        "tell the same. What the roles are, and how they are given: [roles.md](roles.md).",
        "",
        "A role on an account covers the account and all below it. **all**: everybody has it, with or without a role.",
        "**funder**: officers of a funder have it over what that funder pays. **acting**: support may use it on a user's",
        "behalf, to *look* or to *change*. **fresh**: where the centre asks for it, only shortly after a login.",
        "",
        "| permission | what it is for | " + " | ".join(roles) + " | funder | acting | fresh |",
        "|---|---|" + "---|" * (len(roles) + 3),
    ]
    for one in found["permissions"]:
        marks = ["all" if one["everybody"] else "x" if role in one["roles"] else "" for role in roles]
        funder = "all" if one["everybody"] else "own" if one["officers"] else ""
        acts = "change" if one["acting_changes"] else "look" if one["acting"] else ""
        cells = [f"`{one['name']}`", one["meaning"], *marks, funder, acts, "x" if one["step_up"] else ""]
        lines.append("| " + " | ".join(cells) + " |")
    waiting = ", ".join(f"`{one['name']}`" for one in found["permissions"] if one["waiting"])
    lines += [
        "",
        f"Who is not admitted by a tenant yet has only {waiting}.",
        "",
        "## Scopes of tokens",
        "",
        "A token can be narrowed to permissions, or to these sets of them; `self` is always among them.",
        "",
        "| set | permissions |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {_listed(scope)} |" for name, scope in SETS.items()]
    lines += ["", f"No program has these, whatever its roles: {_listed(FOR_PEOPLE)}.", "", "## Routes", ""]
    lines += ["| permission | routes |", "|---|---|"]
    for one in found["permissions"]:
        of = [f"`{route['method']} {route['path']}`" for route in found["routes"] if route["permission"] == one["name"]]
        if of:
            lines.append(f"| `{one['name']}` | {', '.join(of)} |")
    return "\n".join(lines) + "\n"


def _listed(permissions: Any) -> str:
    return ", ".join(f"`{one}`" for one in sorted(permissions))
