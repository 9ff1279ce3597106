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
    DATA_OWN = "data.own"  # any person, and nobody for them: their own data, all of it
    FLEET_READ = "fleet.read"  # any valid token: clusters, flavors, rates
    FLEET_WRITE = "fleet.write"
    ACCOUNT_READ = "account.read"
    TENANT_WRITE = "tenant.write"
    PROJECT_WRITE = "project.write"
    MEMBER_WRITE = "member.write"
    USER_READ = "user.read"
    USER_WRITE = "user.write"
    USER_ADMIT = "user.admit"
    SERVICE_WRITE = "service.write"
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
    ACT = "act"  # on behalf of a user, for a reason and a while
    APPROVAL_READ = "approval.read"
    APPROVAL_DECIDE = "approval.decide"  # beside the permission that the request itself needs
    OVERSIGHT_WRITE = "oversight.write"  # what needs a second pair of eyes
    DATA_READ = "data.read"  # another person's, all of it
    DATA_ERASE = "data.erase"
    HOLD_WRITE = "hold.write"  # legal holds
    HEAD_READ = "head.read"  # any valid token: signed heads of the audit tree, and the keys that signed them
    XROAD_WRITE = "xroad.write"  # which systems of other governments may ask what
    IMPORT = "import"
    POD = "pod"  # a pod's pass, for its own attempt: no role has it


_R, _P = Role, Permission
_EVERYONE = frozenset(Role)
_ADMIN = frozenset({_R.CENTRE_ADMIN})
_OF_PROJECT = frozenset({_R.CENTRE_ADMIN, _R.FOCAL_POINT, _R.LEAD, _R.MEMBER})
_OVERSIGHT = frozenset({_R.ALLOCATOR, _R.SUPPORT, _R.AUDITOR, _R.ETHICS_OFFICER})

MATRIX: dict[Permission, frozenset[Role]] = {
    _P.SELF: _EVERYONE,
    _P.DATA_OWN: _EVERYONE,
    _P.FLEET_READ: _EVERYONE,
    _P.FLEET_WRITE: _ADMIN,
    _P.ACCOUNT_READ: _EVERYONE - {_R.REPORTER, _R.FUNDER},
    _P.TENANT_WRITE: _ADMIN,
    _P.PROJECT_WRITE: _ADMIN | {_R.FOCAL_POINT},
    _P.MEMBER_WRITE: _ADMIN | {_R.FOCAL_POINT, _R.LEAD},
    _P.USER_READ: _ADMIN | {_R.FOCAL_POINT, _R.SUPPORT, _R.AUDITOR},
    _P.USER_WRITE: _ADMIN,
    _P.USER_ADMIT: _ADMIN | {_R.FOCAL_POINT},
    _P.SERVICE_WRITE: _ADMIN | {_R.FOCAL_POINT, _R.LEAD},
    _P.ROLE_WRITE: _ADMIN,
    _P.SECRET_WRITE: frozenset({_R.CENTRE_ADMIN, _R.LEAD, _R.MEMBER}),
    _P.QUOTA_WRITE: _ADMIN | {_R.ALLOCATOR},
    _P.GATE_WRITE: _ADMIN | {_R.ETHICS_OFFICER},
    _P.TERMS_WRITE: _ADMIN,
    _P.MONEY_READ: _OF_PROJECT | _OVERSIGHT,
    _P.MONEY_WRITE: _ADMIN | {_R.ALLOCATOR},
    _P.NOTICE_READ: _ADMIN | {_R.ALLOCATOR, _R.FOCAL_POINT, _R.LEAD},
    _P.ALLOCATION_REQUEST: _ADMIN | {_R.ALLOCATOR, _R.FOCAL_POINT, _R.LEAD},
    _P.ALLOCATION_DECIDE: _ADMIN | {_R.ALLOCATOR},
    _P.JOB_SUBMIT: frozenset({_R.CENTRE_ADMIN, _R.LEAD, _R.MEMBER}),
    _P.JOB_READ: _OF_PROJECT | _OVERSIGHT,
    _P.JOB_CONTROL: frozenset({_R.CENTRE_ADMIN, _R.SUPPORT, _R.LEAD, _R.MEMBER}),
    _P.USAGE_READ: _OF_PROJECT | _OVERSIGHT,
    _P.POLICY_READ: _EVERYONE,
    _P.POLICY_REVIEW: _ADMIN | {_R.ALLOCATOR, _R.AUDITOR},
    _P.POLICY_WRITE: _ADMIN,
    _P.HISTORY_READ: _ADMIN | {_R.ALLOCATOR, _R.AUDITOR},
    _P.AUDIT_READ: _ADMIN | {_R.AUDITOR},
    _P.AUDIT_ERASE: _ADMIN,
    _P.ACT: _ADMIN | {_R.SUPPORT},
    _P.APPROVAL_READ: _ADMIN | {_R.ALLOCATOR, _R.AUDITOR},
    _P.APPROVAL_DECIDE: _ADMIN | {_R.ALLOCATOR},
    _P.OVERSIGHT_WRITE: _ADMIN,
    _P.DATA_READ: _ADMIN,
    _P.DATA_ERASE: _ADMIN,
    _P.HOLD_WRITE: _ADMIN,
    _P.HEAD_READ: _EVERYONE,
    _P.XROAD_WRITE: _ADMIN,
    _P.IMPORT: _ADMIN,
    _P.POD: frozenset(),
    _P.METRICS_READ: _ADMIN | {_R.REPORTER, _R.SUPPORT},
}

# Permissions that any valid token has, with or without a role.
OPEN_TO_ALL = frozenset({_P.SELF, _P.DATA_OWN, _P.FLEET_READ, _P.POLICY_READ, _P.HEAD_READ})

# What somebody has who was not admitted by a tenant yet.
OPEN_TO_WAITING = frozenset({_P.SELF, _P.DATA_OWN})

# What an officer of a funder may look at, wherever it is: what the funder's own money does. The role ``funder`` is held on
# a funder, never on an account.
OF_FUNDERS = frozenset({_P.MONEY_READ, _P.USAGE_READ})

# What support may do on a user's behalf: work with jobs and look, never decide, spend, or touch what is personal.
ACTABLE = frozenset(
    {
        _P.SELF, _P.FLEET_READ, _P.POLICY_READ, _P.HEAD_READ, _P.ACCOUNT_READ, _P.MONEY_READ, _P.USAGE_READ,
        _P.NOTICE_READ, _P.JOB_SUBMIT, _P.JOB_READ, _P.JOB_CONTROL, _P.ALLOCATION_REQUEST,
    }
)  # fmt: skip

# Of these, what may change anything: all else that is actable is to look, and what is a user's own (what they have read,
# accepted, or are logged in with) is changed by nobody else.
ACTABLE_CHANGES = frozenset({_P.JOB_SUBMIT, _P.JOB_CONTROL, _P.ALLOCATION_REQUEST})

# Decisions for which a centre may ask people to log in anew: their token must come of a login a short while ago.
STEP_UP = frozenset({_P.ALLOCATION_DECIDE, _P.APPROVAL_DECIDE, _P.ROLE_WRITE, _P.OVERSIGHT_WRITE, _P.DATA_ERASE})


def allows(permission: Permission, roles: frozenset[Role]) -> bool:
    """True if someone who holds ``roles`` on the account (or above it) has the permission there."""
    return permission in OPEN_TO_ALL or not MATRIX[permission].isdisjoint(roles)
