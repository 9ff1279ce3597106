"""Who may do what: the roles on nodes of the account tree, and the one permission matrix.

A role on an account covers the account and everything below it. Routes name a permission; ``allows`` decides.
"""

from enum import StrEnum


class Role(StrEnum):
    CENTRE_ADMIN = "centre-admin"
    ALLOCATOR = "allocator"
    SUPPORT = "support"
    ETHICS_OFFICER = "ethics-officer"
    AUDITOR = "auditor"
    FUNDER = "funder"
    FOCAL_POINT = "focal-point"
    LEAD = "lead"
    MEMBER = "member"
    REPORTER = "reporter"


class Permission(StrEnum):
    """What a route needs, on the account that it touches."""

    SELF = "self"  # any valid token: about the caller alone
    FLEET_READ = "fleet.read"  # any valid token: clusters, flavors, rates
    FLEET_WRITE = "fleet.write"
    ACCOUNT_READ = "account.read"
    TENANT_WRITE = "tenant.write"
    PROJECT_WRITE = "project.write"
    MEMBER_WRITE = "member.write"
    USER_READ = "user.read"
    USER_WRITE = "user.write"
    ROLE_WRITE = "role.write"
    SECRET_WRITE = "secret.write"  # noqa: S105 - a permission's name
    QUOTA_WRITE = "quota.write"
    GATE_WRITE = "gate.write"
    TERMS_WRITE = "terms.write"
    MONEY_READ = "money.read"
    MONEY_WRITE = "money.write"
    ALLOCATION_REQUEST = "allocation.request"
    ALLOCATION_DECIDE = "allocation.decide"
    JOB_SUBMIT = "job.submit"
    JOB_READ = "job.read"
    JOB_CONTROL = "job.control"
    NOTICE_READ = "notice.read"
    USAGE_READ = "usage.read"
    METRICS_READ = "metrics.read"
    POLICY_READ = "policy.read"  # any valid token: the policy in force
    POLICY_REVIEW = "policy.review"
    POLICY_WRITE = "policy.write"
    HISTORY_READ = "history.read"
    AUDIT_READ = "audit.read"
    AUDIT_ERASE = "audit.erase"
    HEAD_READ = "head.read"  # any valid token: signed heads of the audit tree, and the keys that signed them
    IMPORT = "import"
    POD = "pod"  # a pod's pass, for its own attempt: no role has it


_R, _P = Role, Permission
_EVERYONE = frozenset(Role)
_ADMIN = frozenset({_R.CENTRE_ADMIN})
_OF_PROJECT = frozenset({_R.CENTRE_ADMIN, _R.FOCAL_POINT, _R.LEAD, _R.MEMBER})
_OVERSIGHT = frozenset({_R.ALLOCATOR, _R.SUPPORT, _R.AUDITOR, _R.ETHICS_OFFICER})

MATRIX: dict[Permission, frozenset[Role]] = {
    _P.SELF: _EVERYONE,
    _P.FLEET_READ: _EVERYONE,
    _P.FLEET_WRITE: _ADMIN,
    _P.ACCOUNT_READ: _EVERYONE - {_R.REPORTER},
    _P.TENANT_WRITE: _ADMIN,
    _P.PROJECT_WRITE: _ADMIN | {_R.FOCAL_POINT},
    _P.MEMBER_WRITE: _ADMIN | {_R.FOCAL_POINT, _R.LEAD},
    _P.USER_READ: _ADMIN | {_R.FOCAL_POINT, _R.SUPPORT, _R.AUDITOR},
    _P.USER_WRITE: _ADMIN,
    _P.ROLE_WRITE: _ADMIN,
    _P.SECRET_WRITE: frozenset({_R.CENTRE_ADMIN, _R.LEAD, _R.MEMBER}),
    _P.QUOTA_WRITE: _ADMIN | {_R.ALLOCATOR},
    _P.GATE_WRITE: _ADMIN | {_R.ETHICS_OFFICER},
    _P.TERMS_WRITE: _ADMIN,
    _P.MONEY_READ: _OF_PROJECT | _OVERSIGHT | {_R.FUNDER},
    _P.MONEY_WRITE: _ADMIN | {_R.ALLOCATOR},
    _P.NOTICE_READ: _ADMIN | {_R.ALLOCATOR, _R.FOCAL_POINT, _R.LEAD},
    _P.ALLOCATION_REQUEST: _ADMIN | {_R.ALLOCATOR, _R.FOCAL_POINT, _R.LEAD},
    _P.ALLOCATION_DECIDE: _ADMIN | {_R.ALLOCATOR},
    _P.JOB_SUBMIT: frozenset({_R.CENTRE_ADMIN, _R.LEAD, _R.MEMBER}),
    _P.JOB_READ: _OF_PROJECT | _OVERSIGHT,
    _P.JOB_CONTROL: frozenset({_R.CENTRE_ADMIN, _R.SUPPORT, _R.LEAD, _R.MEMBER}),
    _P.USAGE_READ: _OF_PROJECT | _OVERSIGHT | {_R.FUNDER},
    _P.POLICY_READ: _EVERYONE,
    _P.POLICY_REVIEW: _ADMIN | {_R.ALLOCATOR, _R.AUDITOR},
    _P.POLICY_WRITE: _ADMIN,
    _P.HISTORY_READ: _ADMIN | {_R.ALLOCATOR, _R.AUDITOR},
    _P.AUDIT_READ: _ADMIN | {_R.AUDITOR},
    _P.AUDIT_ERASE: _ADMIN,
    _P.HEAD_READ: _EVERYONE,
    _P.IMPORT: _ADMIN,
    _P.POD: frozenset(),
    _P.METRICS_READ: _ADMIN | {_R.REPORTER, _R.SUPPORT},
}

# Permissions that any valid token has, with or without a role.
OPEN_TO_ALL = frozenset({_P.SELF, _P.FLEET_READ, _P.POLICY_READ, _P.HEAD_READ})


def allows(permission: Permission, roles: frozenset[Role]) -> bool:
    """True if someone who holds ``roles`` on the account (or above it) has the permission there."""
    return permission in OPEN_TO_ALL or not MATRIX[permission].isdisjoint(roles)
