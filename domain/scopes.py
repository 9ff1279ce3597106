"""What tokens may be narrowed to: names of permissions, and handy sets of them. And what no program may do at all."""

from collections.abc import Iterable, Mapping

from domain.access import MATRIX, Permission
from domain.errors import Invalid

_P = Permission

# Everything that only looks, but for another person's data and what is sealed.
_READ = frozenset(
    {
        _P.FLEET_READ, _P.ACCOUNT_READ, _P.MONEY_READ, _P.JOB_READ, _P.NOTICE_READ, _P.USAGE_READ, _P.POLICY_READ,
        _P.HEAD_READ,
    }
)  # fmt: skip

SETS: Mapping[str, frozenset[Permission]] = {
    "read": _READ,
    "jobs": _READ | {_P.JOB_SUBMIT, _P.JOB_CONTROL},
    "metrics": frozenset({_P.METRICS_READ}),
    "audit": frozenset({_P.AUDIT_READ, _P.HEAD_READ}),
}

# What takes a person: decisions, other people, and who may do what. A program never has it, whatever its roles.
FOR_PEOPLE = frozenset(
    {
        _P.DATA_OWN, _P.USER_WRITE, _P.USER_ADMIT, _P.SERVICE_WRITE, _P.ROLE_WRITE, _P.ALLOCATION_DECIDE, _P.ACT,
        _P.APPROVAL_DECIDE, _P.OVERSIGHT_WRITE, _P.DATA_READ, _P.DATA_ERASE, _P.AUDIT_ERASE, _P.HOLD_WRITE,
    }
)  # fmt: skip

_NO_SCOPE = frozenset({_P.POD})


def scopes_of(names: Iterable[str]) -> frozenset[Permission]:
    """The permissions behind names of permissions and of sets. Raises Invalid for others."""
    found: set[Permission] = set()
    for name in names:
        if name in SETS:
            found |= SETS[name]
        elif name in set(MATRIX) - _NO_SCOPE:
            found.add(Permission(name))
        else:
            raise Invalid(
                f"{name[:40]!r} is no scope", "scopes",
                fix=f"use {', '.join(SETS)}, or names of permissions: {', '.join(sorted(set(MATRIX) - _NO_SCOPE))}",
            )  # fmt: skip
    return frozenset(found)
