"""Promise 8: every route in the hands of every role. The table is written down apart from the code's own matrix."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts

from api.http.app import PREFIX, PUBLIC, check_declared, create_app
from domain.access import Permission
from domain.accounts import Quota
from domain.allocations import ChangeKind
from domain.canonical import canonical
from domain.errors import CannotStart
from domain.oversight import Approval
from domain.quantities import DAY_MS
from lifecycle import (
    accounts,
    calendar,
    changes,
    gates,
    holds,
    moves,
    oversight,
    people,
    registrations,
    service_accounts,
    xroad,
)
from lifecycle.custody import ErasureRequest
from lifecycle.effects import Wish
from lifecycle.rights import Service
from tests.conftest import services_of
from tests.support.centre import EVERY, Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100, NOBODY, OFFICERS, ROLES, spec
from tests.support.gateway import kubeconfig
from tests.support.marks import on_sqlite
from tests.support.registry import SimpleRegistry
from tests.support.sealing import Sealed
from tests.support.serving import Answer, Api

# One column a user, as in ``factories``: the administrator; allocator, support, ethics officer and auditor on the centre; an
# officer of the funder of the first grant; the reporter on the centre; focal point of the tenant; lead and member of the project; lead of another tenant's
# project; and somebody without a role.
#   +  is let in         3  is told that they may not         4  is told that it is not there
#   1  is no pod, so that no token helps
USERS = ("admin", *list(ROLES)[:4], *OFFICERS, *list(ROLES)[4:], NOBODY)

TABLE = """
                                                    adm all sup eth aud fun rep foc led mem oth nob
POST    /tenants                                     +   3   3   3   3   3   3   3   3   3   3   3
GET     /tenants                                     +   +   +   +   +   +   +   +   +   +   +   +
GET     /tenants/{name}                              +   +   +   +   +   4   3   +   4   4   4   4
PATCH   /tenants/{name}                              +   3   3   3   3   4   3   3   4   4   4   4
GET     /tenants/{name}/registration                 +   +   +   +   +   4   3   +   4   4   4   4
POST    /tenants/{name}/registration                 +   3   3   3   3   3   3   3   3   3   3   3
POST    /projects                                    +   3   3   3   3   4   3   +   4   4   4   4
GET     /projects                                    +   +   +   +   +   +   +   +   +   +   +   +
GET     /projects/{name}                             +   +   +   +   +   4   3   +   +   +   4   4
PATCH   /projects/{name}                             +   3   3   3   3   4   3   +   3   3   4   4
GET     /projects/{name}/members                     +   +   +   +   +   4   3   +   +   +   4   4
POST    /projects/{name}/members                     +   3   3   3   3   4   3   +   +   3   4   4
DELETE  /projects/{name}/members/{user}              +   3   3   3   3   4   3   +   +   3   4   4
GET     /projects/{name}/secrets                     +   3   3   3   3   4   3   3   +   +   4   4
GET     /projects/{name}/secrets/{secret}            +   3   3   3   3   4   3   3   +   +   4   4
PUT     /projects/{name}/secrets/{secret}            +   3   3   3   3   4   3   3   +   +   4   4
DELETE  /projects/{name}/secrets/{secret}            +   3   3   3   3   4   3   3   +   +   4   4
GET     /quotas                                      +   +   +   +   +   +   +   +   +   +   +   +
GET     /quotas/{account}/{flavor}                   +   +   +   +   +   4   3   +   +   +   4   4
PUT     /quotas/{account}/{flavor}                   +   +   3   3   3   4   3   3   3   3   4   4
DELETE  /quotas/{account}/{flavor}                   +   +   3   3   3   4   3   3   3   3   4   4
GET     /limits/{account}                            +   +   +   +   +   4   3   +   +   +   4   4
PUT     /limits/{account}                            +   +   3   3   3   4   3   3   3   3   4   4
GET     /whoami                                      +   +   +   +   +   +   +   +   +   +   +   +
POST    /logout                                      +   +   +   +   +   +   +   +   +   +   +   +
POST    /users                                       +   3   3   3   3   3   3   3   3   3   3   3
GET     /users                                       +   3   +   3   +   3   3   +   3   3   3   3
GET     /users/{name}                                +   3   +   3   +   3   3   +   3   3   3   3
PATCH   /users/{name}                                +   3   3   3   3   3   3   3   3   3   3   3
GET     /admissions                                  +   3   3   3   3   3   3   +   3   3   3   3
POST    /users/{name}/admit                          +   3   3   3   3   3   3   +   3   3   3   3
POST    /users/{name}/refuse                         +   3   3   3   3   3   3   +   3   3   3   3
POST    /users/{name}/password                       +   3   3   3   3   3   3   3   3   3   3   3
POST    /me/password                                 3   3   3   3   3   3   3   3   3   3   3   3
POST    /login/device/approve                        3   3   3   3   3   3   3   3   3   3   3   3
POST    /service-accounts                            +   3   3   3   3   4   3   +   +   3   4   4
GET     /service-accounts                            +   +   +   +   +   +   +   +   +   +   +   +
GET     /service-accounts/{name}                     +   4   4   4   4   4   4   +   +   4   4   4
PATCH   /service-accounts/{name}                     +   4   4   4   4   4   4   +   +   4   4   4
GET     /users/{name}/roles                          +   3   +   3   +   3   3   3   3   3   3   3
POST    /users/{name}/roles                          +   3   3   3   3   3   3   3   3   3   3   3
DELETE  /users/{name}/roles/{account}/{role}         +   3   3   3   3   3   3   3   3   3   3   3
POST    /users/{name}/tokens                         +   3   3   3   3   3   3   3   +   3   3   3
POST    /users/{name}/tokens/revoke                  +   3   3   3   3   3   3   3   +   3   3   3
GET     /users/{name}/tokens                         +   3   3   3   3   3   3   3   +   3   3   3
DELETE  /tokens/{token_id}                           +   3   3   3   3   3   3   3   3   3   3   +
GET     /clusters                                    +   +   +   +   +   +   +   +   +   +   +   +
GET     /clusters/{name}                             +   +   +   +   +   +   +   +   +   +   +   +
PATCH   /clusters/{name}                             +   3   3   3   3   3   3   3   3   3   3   3
POST    /clusters                                    +   3   3   3   3   3   3   3   3   3   3   3
POST    /clusters/check                              +   3   3   3   3   3   3   3   3   3   3   3
DELETE  /clusters/{name}                             +   3   3   3   3   3   3   3   3   3   3   3
POST    /clusters/{name}/check                       +   3   3   3   3   3   3   3   3   3   3   3
PUT     /clusters/{name}/access                      +   3   3   3   3   3   3   3   3   3   3   3
POST    /clusters/{name}/abandon                     +   3   3   3   3   3   3   3   3   3   3   3
PATCH   /clusters/{name}/nodes/{node}                +   3   3   3   3   3   3   3   3   3   3   3
POST    /flavors                                     +   3   3   3   3   3   3   3   3   3   3   3
GET     /flavors                                     +   +   +   +   +   +   +   +   +   +   +   +
GET     /flavors/{name}                              +   +   +   +   +   +   +   +   +   +   +   +
GET     /flavors/{name}/rates                        +   +   +   +   +   +   +   +   +   +   +   +
POST    /flavors/{name}/rates                        +   +   3   3   3   3   3   3   3   3   3   3
POST    /funders                                     +   +   3   3   3   3   3   3   3   3   3   3
GET     /funders                                     +   +   +   +   +   +   3   3   3   3   3   3
POST    /grants                                      +   +   3   3   3   3   3   3   3   3   3   3
GET     /grants                                      +   +   +   +   +   +   3   3   3   3   3   3
GET     /grants/{grant_id}                           +   +   +   +   +   +   3   3   3   3   3   3
PATCH   /grants/{grant_id}                           +   +   3   3   3   3   3   3   3   3   3   3
POST    /prices                                      +   +   3   3   3   3   3   3   3   3   3   3
GET     /prices                                      +   +   +   +   +   +   +   +   +   +   +   +
GET     /notices                                     +   +   +   +   +   +   +   +   +   +   +   +
POST    /notices/read                                +   +   +   +   +   +   +   +   +   +   +   +
POST    /reclaim-rules                               +   +   3   3   3   3   3   3   3   3   3   3
GET     /reclaim-rules                               +   +   +   +   +   +   +   +   +   +   +   +
POST    /allocations                                 +   +   3   3   3   3   3   3   3   3   3   3
GET     /allocations                                 +   +   +   +   +   +   +   +   +   +   +   +
GET     /allocations/{allocation_id}                 +   +   +   +   +   +   3   +   +   +   4   4
GET     /allocations/{allocation_id}/decisions       +   +   +   +   +   +   3   +   +   +   4   4
POST    /allocation-requests                         +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/approve         +   +   3   3   3   3   3   3   3   3   3   3
POST    /allocations/{allocation_id}/decline         +   +   3   3   3   3   3   3   3   3   3   3
POST    /allocations/{allocation_id}/withdraw        +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/top-up          +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/extend          +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/transfer        +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/split           +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/reclaim         +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/release         +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/suspend         +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/resume          +   +   3   3   3   4   3   +   +   3   4   4
POST    /allocations/{allocation_id}/close           +   +   3   3   3   4   3   +   +   3   4   4
GET     /allocation-changes                          +   +   +   +   +   +   +   +   +   +   +   +
POST    /allocation-changes/{change_id}/approve      +   +   3   3   3   3   3   3   3   3   3   3
POST    /allocation-changes/{change_id}/decline      +   +   3   3   3   3   3   3   3   3   3   3
POST    /allocation-changes/{change_id}/withdraw     3   3   3   3   3   4   3   3   +   3   4   4
POST    /jobs                                        +   3   3   3   3   4   3   3   +   +   4   4
POST    /jobs/batch                                  +   3   3   3   3   4   3   3   +   +   4   4
GET     /jobs                                        +   +   +   +   +   +   +   +   +   +   +   +
GET     /queue                                       +   +   +   +   +   +   +   +   +   +   +   +
GET     /queue/columns                               +   +   +   +   +   +   +   +   +   +   +   +
GET     /jobs/{job}                                  +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/tasks                            +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/attempts                         +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/why                              +   +   +   +   +   4   3   +   +   +   4   4
PATCH   /jobs/{job}                                  +   3   3   3   3   4   3   3   +   3   4   4
POST    /jobs/{job}/cancel                           +   3   +   3   3   4   3   3   +   +   4   4
POST    /jobs/{job}/hold                             +   3   +   3   3   4   3   3   +   +   4   4
POST    /jobs/{job}/release                          +   3   +   3   3   4   3   3   +   +   4   4
POST    /jobs/{job}/requeue                          +   3   +   3   3   4   3   3   +   +   4   4
POST    /jobs/{job}/extend                           +   3   +   3   3   4   3   3   +   +   4   4
GET     /jobs/{job}/logs                             +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/logs/stream                      +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/wait                             +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/outputs                          +   +   +   +   +   4   3   +   +   +   4   4
GET     /jobs/{job}/outputs/{path:path}              +   +   +   +   +   4   3   +   +   +   4   4
SOCKET  /jobs/{job}/exec                             +   3   +   3   3   4   3   3   +   +   4   4
SOCKET  /jobs/{job}/forward                          +   3   +   3   3   4   3   3   +   +   4   4
GET     /pods/source                                 1   1   1   1   1   1   1   1   1   1   1   1
PUT     /pods/outputs                                1   1   1   1   1   1   1   1   1   1   1   1
POST    /sources                                     +   3   3   3   3   3   3   3   +   +   +   3
GET     /usage                                       +   +   +   +   +   +   +   +   +   +   +   +
POST    /reservations                                +   3   3   3   3   3   3   3   3   3   3   3
GET     /reservations                                +   +   +   +   +   +   +   +   +   +   +   +
GET     /reservations/{name}                         +   +   +   +   +   4   4   +   +   +   4   4
DELETE  /reservations/{name}                         +   3   3   3   3   3   3   3   3   3   3   3
GET     /charging-rules                              +   +   +   +   +   +   +   +   +   +   +   +
GET     /charging-rules/history                      +   +   3   3   +   3   3   3   3   3   3   3
POST    /charging-rules                              +   +   3   3   3   3   3   3   3   3   3   3
POST    /refunds                                     +   +   3   3   3   3   3   3   3   3   3   3
POST    /adjustments                                 +   +   3   3   3   3   3   3   3   3   3   3
GET     /corrections                                 +   +   +   +   +   +   +   +   +   +   +   +
GET     /periods                                     +   +   +   +   +   3   3   3   3   3   3   3
POST    /periods                                     +   +   3   3   3   3   3   3   3   3   3   3
GET     /policy                                      +   +   +   +   +   +   +   +   +   +   +   +
GET     /policies                                    +   +   3   3   +   3   3   3   3   3   3   3
POST    /policy/check                                +   +   3   3   +   3   3   3   3   3   3   3
POST    /policies                                    +   3   3   3   3   3   3   3   3   3   3   3
POST    /imports/check                               +   3   3   3   3   3   3   3   3   3   3   3
POST    /imports                                     +   3   3   3   3   3   3   3   3   3   3   3
GET     /imports                                     +   3   3   3   3   3   3   3   3   3   3   3
GET     /history                                     +   +   3   3   +   3   3   3   3   3   3   3
GET     /scenario                                    +   +   3   3   +   3   3   3   3   3   3   3
GET     /accounts                                    +   +   +   +   +   +   +   +   +   +   +   +
POST    /accounts                                    +   3   3   3   3   4   3   +   4   4   4   4
GET     /accounts/{name}                             +   +   +   +   +   4   3   +   +   +   4   4
PATCH   /accounts/{name}                             +   3   3   3   3   4   3   +   4   4   4   4
POST    /accounts/{name}/move                        +   3   3   3   3   4   3   +   4   4   4   4
GET     /gates                                       +   +   +   +   +   +   +   +   +   +   +   +
POST    /gates                                       +   3   3   +   3   4   3   3   3   3   4   4
DELETE  /gates/{gate_id}                             +   3   3   +   3   4   3   3   3   3   4   4
POST    /xroad-clients                               +   3   3   3   3   3   3   3   3   3   3   3
GET     /xroad-clients                               +   3   3   3   3   3   3   3   3   3   3   3
GET     /xroad-clients/{right_id}                    +   3   3   3   3   3   3   3   3   3   3   3
DELETE  /xroad-clients/{right_id}                    +   3   3   3   3   3   3   3   3   3   3   3
GET     /terms                                       +   +   +   +   +   +   +   +   +   +   +   +
POST    /terms                                       +   3   3   3   3   3   3   3   3   3   3   3
POST    /terms/acceptance                            +   +   +   +   +   +   +   +   +   +   +   +
PUT     /four-eyes                                   +   3   3   3   3   3   3   3   3   3   3   3
GET     /four-eyes                                   +   +   3   3   +   3   3   3   3   3   3   3
GET     /approvals                                   +   +   +   +   +   +   +   +   +   +   +   +
GET     /approvals/{approval_id}                     +   +   4   4   +   4   4   4   4   4   4   4
POST    /approvals/{approval_id}/approve             3   +   3   3   3   3   3   3   3   3   3   3
POST    /approvals/{approval_id}/decline             3   +   3   3   3   3   3   3   3   3   3   3
POST    /approvals/{approval_id}/withdraw            +   3   4   4   3   4   4   4   4   4   4   4
POST    /acting                                      +   3   +   3   3   3   3   3   3   3   3   3
GET     /acting                                      +   +   +   +   +   +   +   +   +   +   +   +
DELETE  /acting/{acting_id}                          4   4   +   4   4   4   4   4   +   4   4   4
POST    /funders/{name}/officers                     +   3   3   3   3   3   3   3   3   3   3   3
GET     /funders/{name}/officers                     +   3   3   3   3   3   3   3   3   3   3   3
DELETE  /funders/{name}/officers/{user}              +   3   3   3   3   3   3   3   3   3   3   3
GET     /permissions                                 +   +   +   +   +   +   +   +   +   +   +   +
GET     /audit/entries                               +   3   3   3   +   3   3   3   3   3   3   3
GET     /audit/entries/{entry_id}                    +   3   3   3   +   3   3   3   3   3   3   3
GET     /audit/export                                +   3   3   3   +   3   3   3   3   3   3   3
GET     /me/log                                      +   +   +   +   +   +   +   +   +   +   +   +
POST    /audit/entries/{entry_id}/erase              +   3   3   3   3   3   3   3   3   3   3   3
GET     /audit/heads                                 +   +   +   +   +   +   +   +   +   +   +   +
GET     /audit/heads/latest                          +   +   +   +   +   +   +   +   +   +   +   +
GET     /audit/keys                                  +   +   +   +   +   +   +   +   +   +   +   +
GET     /audit/proof/inclusion                       +   3   3   3   +   3   3   3   3   3   3   3
GET     /audit/proof/consistency                     +   +   +   +   +   +   +   +   +   +   +   +
GET     /personal-data                               +   +   +   +   +   +   +   +   +   +   +   +
GET     /me                                          +   +   +   +   +   +   +   +   +   +   +   +
PATCH   /me                                          +   +   +   +   +   +   +   +   +   +   +   +
GET     /me/changes                                  +   +   +   +   +   +   +   +   +   +   +   +
POST    /me/erase-request                            +   +   +   +   +   +   +   +   +   +   +   +
DELETE  /me/erase-request                            +   +   +   +   +   +   +   +   +   +   +   +
GET     /me/data                                     +   +   +   +   +   +   +   +   +   +   +   +
POST    /users/{name}/data                           +   3   3   3   3   3   3   3   3   3   3   3
GET     /users/{name}/changes                        +   3   3   3   3   3   3   3   3   3   3   3
POST    /users/{name}/erase                          +   3   3   3   3   3   3   3   3   3   3   3
GET     /erase-requests                              +   3   3   3   3   3   3   3   3   3   3   3
GET     /retention                                   +   +   +   +   +   +   +   +   +   +   +   +
PUT     /retention                                   +   3   3   3   3   3   3   3   3   3   3   3
GET     /legal-holds                                 +   3   3   3   3   3   3   3   3   3   3   3
POST    /legal-holds                                 +   3   3   3   3   3   3   3   3   3   3   3
POST    /legal-holds/{hold_id}/lift                  +   3   3   3   3   3   3   3   3   3   3   3
GET     /sweeps                                      +   3   3   3   3   3   3   3   3   3   3   3
POST    /sweeps                                      +   3   3   3   3   3   3   3   3   3   3   3
POST    /sweeps/check                                +   3   3   3   3   3   3   3   3   3   3   3
GET     /status                                      +   +   +   +   +   +   +   +   +   +   +   +
GET     //metrics                                    +   3   +   3   3   3   +   3   3   3   3   3"""

SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + DAY_MS}
JOB = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100, "gpus": 1}}

# What is sent to the routes that take something.
BODIES: dict[str, Any] = {
    "POST /tenants": {"name": "new", "title": "New", "kind": "university"},
    "PATCH /tenants/{name}": {"title": "New"},
    "POST /tenants/{name}/registration": {"number": "2"},
    "POST /xroad-clients": {"client": "KH/GOV/0001", "service": "usage", "tenant": "itc", "reason": "a test"},
    "POST /projects": {"name": "new", "tenant": "cadt", "title": "New"},
    "PATCH /projects/{name}": {"title": "New"},
    "POST /projects/{name}/members": {"user": NOBODY, "role": "member"},
    "PUT /projects/{name}/secrets/{secret}": {"value": "x"},
    "PUT /quotas/{account}/{flavor}": {"guaranteed": 4},
    "PUT /limits/{account}": {"running_jobs": 4},
    "POST /users": {"name": "new", "title": "New"},
    "POST /users/{name}/roles": {"account": "speech", "role": "member"},
    "POST /users/{name}/tokens": {"name": "new"},
    "POST /users/{name}/tokens/revoke": {},
    "PATCH /users/{name}": {"state": "suspended", "reason": "a test"},
    "POST /users/{name}/admit": {"tenant": "cadt"},
    "POST /users/{name}/refuse": {"reason": "a test"},
    "POST /me/password": {"old": "four old unrelated words", "new": "four new unrelated words"},
    "POST /login/device/approve": {"user_code": "BCDF-GHJK"},
    "POST /service-accounts": {"name": "new", "title": "New", "account": "speech", "role": "member"},
    "PATCH /service-accounts/{name}": {"state": "suspended", "reason": "a test"},
    "POST /clusters": {"name": "pp", "kubeconfig": kubeconfig("pp")},
    "POST /clusters/check": {"kubeconfig": kubeconfig("pp")},
    "PUT /clusters/{name}/access": {"kubeconfig": kubeconfig("pp")},
    "POST /clusters/{name}/abandon": {"reason": "a test"},
    "PATCH /clusters/{name}": {"state": "draining"},
    "PATCH /clusters/{name}/nodes/{node}": {"state": "drained", "reason": "a test"},
    "POST /flavors": {"name": "new", "title": "New"},
    "POST /flavors/{name}/rates": {"from_ms": NEW_YEAR_MS + DAY_MS, "su_per_hour": "3"},
    "POST /funders": {"name": "new", "title": "New"},
    "POST /grants": {"name": "new", "funder": "moeys", "su": "1", **SPAN},
    "POST /allocations": {"project": "flood", "sources": [{"grant": "wb-77", "su": "1"}], "reason": "a test", **SPAN},
    "POST /allocation-requests": {"project": "speech", "su": "1", "purpose": "a test", **SPAN},
    "POST /allocations/{allocation_id}/approve": {"sources": [{"grant": "wb-77", "su": "1"}], "reason": "a test"},
    "POST /allocations/{allocation_id}/top-up": {"su": "1", "reason": "a test"},
    "POST /allocations/{allocation_id}/extend": {"ends_ms": NEW_YEAR_MS + 365 * DAY_MS, "reason": "a test"},
    "POST /allocations/{allocation_id}/transfer": {"su": "1", "to": 2, "reason": "a test"},
    "POST /allocations/{allocation_id}/split": {"su": "1", "reason": "a test"},
    "POST /allocations/{allocation_id}/reclaim": {"su": "1", "reason": "a test"},
    "POST /allocations/{allocation_id}/release": {"instalment": 2, "reason": "a test"},
    "POST /allocation-changes/{change_id}/approve": {"reason": "a test"},
    "POST /allocation-changes/{change_id}/decline": {"reason": "a test"},
    "POST /allocation-changes/{change_id}/withdraw": {"reason": "a test"},
    **{
        f"POST /allocations/{{allocation_id}}/{verb}": {"reason": "a test"}
        for verb in ("decline", "withdraw", "suspend", "resume", "close")
    },
    "POST /jobs": JOB,
    "POST /jobs/batch": {"jobs": [JOB]},
    "PATCH /jobs/{job}": {"priority": 5},
    "POST /jobs/{job}/extend": {"by": "1h"},
    "POST /charging-rules": {"document": {}, "reason": "a test"},
    "POST /refunds": {"attempt": "1.1", "reason": "a test"},
    "POST /adjustments": {"attempt": "1.1", "su": "+0.5", "reason": "a test"},
    "POST /periods": {"period": "2025-12", "reason": "a test"},
    "POST /policy/check": {"document": {}},
    "POST /reservations": {
        "name": "new",
        "account": "itc",
        "flavor": H100,
        "gpus": 1,
        "starts_ms": NEW_YEAR_MS + DAY_MS,
        "length": "1h",
    },
    "POST /accounts": {"name": "new", "under": "cadt", "title": "New"},
    "PATCH /accounts/{name}": {"title": "New"},
    "POST /accounts/{name}/move": {"under": "lab"},
    "POST /gates": {"gate": "ethics-decision", "account": "speech", "reason": "a test"},
    "POST /terms": {"version": "v2", "title": "Terms", "text": "Be fair."},
    "POST /terms/acceptance": {"version": "v1"},
    "POST /imports/check": {"kind": "csv", "files": [{"name": "tenants.csv", "text": "name,title,kind\n"}]},
    "POST /imports": {
        "kind": "csv",
        "files": [{"name": "tenants.csv", "text": "name,title,kind\n"}],
        "digest": "0",
        "reason": "a test",
    },
    "PATCH /grants/{grant_id}": {"state": "suspended", "reason": "a test"},
    "POST /prices": {"currency": "USD", "amount": "2", "reason": "a test"},
    "POST /notices/read": {"ids": [1]},
    "POST /reclaim-rules": {"reason": "a test"},
    "POST /policies": {"document": {}, "reason": "a test"},
    "POST /audit/entries/{entry_id}/erase": {"reason": "a test"},
    "PATCH /me": {"title": "New"},
    "POST /me/erase-request": {},
    "POST /users/{name}/data": {"reason": "a test"},
    "POST /users/{name}/erase": {"reason": "a test"},
    "PUT /retention": {"document": {}, "reason": "a test"},
    "POST /legal-holds": {"account": "itc", "reason": "a test"},
    "POST /legal-holds/{hold_id}/lift": {"reason": "a test"},
    "PUT /four-eyes": {"su": "1000", "reason": "a test"},
    **{f"POST /approvals/{{approval_id}}/{verb}": {"reason": "a test"} for verb in ("approve", "decline", "withdraw")},
    "POST /acting": {"user": "sok", "reason": "a test"},
    "POST /funders/{name}/officers": {"user": NOBODY},
}


@dataclass(frozen=True)
class Line:
    method: str
    route: str
    expected: dict[str, str]

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


def lines() -> list[Line]:
    rows = [line.split() for line in TABLE.strip().splitlines()[1:]]
    return [Line(method, route, dict(zip(USERS, marks, strict=True))) for method, route, *marks in rows]


def path_of(line: Line, centre: Centre) -> str:
    """The route with the project speech, its people and its jobs filled in. Job 1 is over, job 2 waits."""
    (token,) = centre.database.rows(
        "SELECT token.id FROM token JOIN \"user\" u ON u.id = user_id WHERE u.name = 'nary'"
    )
    names = {
        "/reservations": "class",
        "/tenants": "cadt",
        "/projects": "speech",
        "/accounts": "speech",
        "/users": "dara",
        "/service-accounts": "robot",
        "/clusters": "sim",
        "/flavors": H100,
        "/funders": "moeys",
    }
    if line.route == "/audit/proof/inclusion":
        return f"{line.route}?kind=audit&id=1"
    if line.route == "/pods/outputs":
        return f"{line.route}?path=result.txt"
    if line.route == "/audit/proof/consistency":
        return f"{line.route}?from={centre.database.rows('SELECT MAX(size) FROM tree_head')[0][0]}"
    name = next((found for prefix, found in names.items() if line.route.startswith(prefix)), "")
    return line.route.replace(":path", "").format_map(
        {
            "name": name, "user": "mony" if line.route.startswith("/funders") else "sok", "secret": "KEY", "account": "speech", "flavor": H100, "role": "lead",
            "token_id": token.id, "grant_id": 1, "allocation_id": 1, "job": 2 if line.method == "POST" else 1,
            "path": "result.txt", "node": "n1", "gate_id": 1, "change_id": 1, "entry_id": 1, "right_id": 1,
            "approval_id": 1, "acting_id": 1, "hold_id": 1,
        }
    )  # fmt: skip


@pytest.fixture
def furnished(centre: Centre, tmp_path: Path) -> Centre:
    """With a sealed audit entry, a job that is over and left an output, one that waits, a secret and a quota."""
    centre.submit(spec(command="run 1m leave 42", outputs=("*.txt",)))
    centre.run()
    centre.submit(spec(command="run 1m"))
    with centre.store.write() as uow:
        speech = uow.directory().by_name["speech"]
        people.put_secret(uow, centre.vault, speech, "KEY", "value")
        accounts.put_quota(uow, speech, H100, Quota(8_000, 0), None)
        admin = people.authenticate(uow, centre.population.tokens["admin"], NEW_YEAR_MS)
        holds.set_hold(uow, admin, holds.Covers(user="rith"), "a test", NEW_YEAR_MS)
        for user in uow.people.users(EVERY):
            uow.custody.ask_erasure(ErasureRequest(user.id, NEW_YEAR_MS))
        moves.add_group(uow, "lab", "cadt", "Lab", 1)
        gates.require(uow, admin, "training-passed", "speech", "a test", NEW_YEAR_MS, from_ms=NEW_YEAR_MS + DAY_MS)
        gates.set_terms(uow, admin, "v1", "Terms", "Be fair.", None, NEW_YEAR_MS + 60_000)
        asked = calendar.Asked("class", "cadt", False, NEW_YEAR_MS + DAY_MS, 3_600_000, flavor=H100, gpus=1)
        calendar.reserve(
            uow, people.authenticate(uow, centre.population.tokens["admin"], NEW_YEAR_MS), asked, NEW_YEAR_MS
        )
        dara = people.authenticate(uow, centre.population.tokens["dara"], NEW_YEAR_MS)
        service_accounts.add(uow, dara, "robot", "Robot", speech, "member", NEW_YEAR_MS)
        changes.ask(uow, dara, 1, ChangeKind.TOP_UP, Wish(10**6), "a test", None, NEW_YEAR_MS)
        oversight.begin_acting(uow, centre.caller("sophea"), "dara", "a test", 60, NEW_YEAR_MS)
        kept = {"arguments": {"body": '{"name": "usaid", "title": "USAID"}'}, "if_match": None}
        waits = Approval(
            0, "add_funder", "/funders", canonical(kept).decode(), "{}", admin.user.id, NEW_YEAR_MS,
            NEW_YEAR_MS + 7 * DAY_MS,
        )  # fmt: skip
        uow.oversight.add_approval(waits)
        cadt = uow.directory().by_name["cadt"]
        registrations.bind(uow, cadt, SimpleRegistry().fetch("1"), None, NEW_YEAR_MS)
        xroad.allow(uow, "KH/GOV/0001", Service.USAGE, "cadt", NEW_YEAR_MS)
    sealed = Sealed.on(centre, tmp_path)
    sealed.note("act")
    sealed.seal()
    return centre


def mark(answer: Answer) -> str:
    return {401: "1", 403: "3", 404: "4"}.get(answer.status, "+" if answer.status < 500 else "!")


def opened(api: Api, path: str) -> Answer:
    """What a WebSocket's opening is answered with: 101, or a refusal like any other."""
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version": "13"}
    once = Api(api.address, api.token)  # a connection of its own: it is no HTTP any more
    answer = once.get(path, headers={"Connection": "Upgrade", "Upgrade": "websocket", **key})
    once.pool.clear()
    return answer


@pytest.mark.promise(8)
@on_sqlite
def test_every_route_answers_every_role_as_the_table_says(furnished: Centre, api: Api) -> None:
    rows = furnished.database.dump()
    wrong = []
    for line in lines():
        path, body = path_of(line, furnished), BODIES.get(str(line))
        data = b"\x1f\x8b..." if line.route == "/sources" else None
        for user in (None, *USERS):
            token = None if user is None else furnished.population.tokens[user]
            answer = (
                opened(api.as_(token), path)
                if line.method == "SOCKET"
                else api.as_(token).call(line.method, path, body, data=data)
            )
            expected = "1" if user is None else line.expected[user]
            if mark(answer) != expected:
                wrong.append(
                    f"{line} for {user}: {mark(answer)} {answer.status}, not {expected}: {answer.body[:120]!r}"
                )
            if answer.status >= 400 and answer.headers["Content-Type"] != "application/problem+json":
                wrong.append(f"{line} for {user}: {answer.headers['Content-Type']}")
            if line.method != "GET" and answer.status < 300:
                furnished.database.empty()
                furnished.database.load(rows)
    assert not wrong, "\n".join(wrong)


@pytest.mark.promise(8)
def test_the_table_has_every_route_of_the_application(open_api: Callable, centre: Centre, tmp_path: Path) -> None:
    app = create_app(services_of(centre, tmp_path))
    served = {
        (method, context.path.removeprefix(PREFIX) if context.path.startswith(PREFIX) else f"/{context.path}")
        for context in iter_route_contexts(app.routes)
        for method in (context.methods or {"SOCKET"}) - {"HEAD"}
        if context.path not in PUBLIC and context.path != app.openapi_url
    }
    assert served == {(line.method, line.route) for line in lines()}


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize("token", ["", "bry_" + "x" * 43, "ខ្មែរ".encode().decode("latin-1"), "a b", "\xb2"])
def test_a_token_that_is_none_is_refused_without_a_hint(api: Api, token: str) -> None:
    answer = api.as_(None).get("/whoami", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.code) == (401, "not-logged-in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.promise(8)
@on_sqlite
def test_what_is_not_yours_looks_like_what_is_not_there(furnished: Centre, api: Api) -> None:
    """The answer for another tenant's job is that for a job that never was, but for the number."""
    rith = api.as_(furnished.population.tokens["rith"])
    for there, gone in (
        ("/jobs/1", "/jobs/9"),
        ("/projects/speech", "/projects/x"),
        ("/allocations/1", "/allocations/9"),
    ):
        yours, nothing = (rith.get(path, headers={"X-Request-Id": "0" * 32}) for path in (there, gone))
        assert yours.status == nothing.status == 404
        assert yours.body.replace(b"speech", b"x").replace(b"1", b"9") == nothing.body.replace(b"1", b"9")


@pytest.mark.promise(8)
@on_sqlite
def test_lists_show_what_the_caller_may_see_and_no_more(furnished: Centre, api: Api) -> None:
    furnished.submit(spec("flood"), "rith")
    seen = {}
    for user in ("admin", "kosal", "dara", "rith", "prom", NOBODY):
        caller = api.as_(furnished.population.tokens[user])
        seen[user] = {
            "projects": {one["name"] for one in caller.get("/projects").json["items"]},
            "jobs": {one["project"] for one in caller.get("/jobs").json["items"]},
            "queue": {one["project"] for one in caller.get("/queue").json["items"]},
            "allocations": {one["project"] for one in caller.get("/allocations").json["items"]},
            "usage": {one["key"] for one in caller.get("/usage").json["rows"]},
            "quotas": {one["account"] for one in caller.get("/quotas").json["items"]},
        }
    nothing = {what: set() for what in seen["admin"]}
    everything = {"projects": {"speech", "vision", "flood"}, "jobs": {"speech", "flood"}, "queue": {"speech", "flood"}}
    everything |= {"allocations": {"speech", "vision", "flood"}, "usage": {"speech"}, "quotas": {"speech"}}
    of_speech = {what: {"speech"} for what in everything}
    assert seen["admin"] == everything
    assert seen["kosal"] == of_speech | {"projects": {"speech", "vision"}, "allocations": {"speech", "vision"}}
    assert seen["dara"] == of_speech
    assert seen["rith"] == {what: {"flood"} for what in everything} | {"usage": set(), "quotas": set()}
    assert seen["prom"] == seen[NOBODY] == nothing


@pytest.mark.promise(8)
def test_an_application_with_a_route_that_declares_no_permission_does_not_start() -> None:
    router = APIRouter()

    @router.get("/open", openapi_extra={"x-permission": Permission.SELF.value})
    def declared() -> None: ...

    app = FastAPI(docs_url=None, redoc_url=None)
    app.include_router(router, prefix=PREFIX)
    check_declared(app)

    @router.get("/forgotten", include_in_schema=False)
    def forgotten() -> None: ...

    with pytest.raises(CannotStart, match="the route /api/v1/forgotten declares no permission"):
        check_declared(app)


@pytest.mark.promise(8)
@pytest.mark.parametrize("declared", [None, "", "everything"])
def test_a_permission_that_is_none_is_no_permission(declared: str | None) -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.add_api_route("/open", lambda: None, openapi_extra={"x-permission": declared})
    with pytest.raises(CannotStart):
        check_declared(app)


@pytest.mark.promise(8)
def test_a_mounted_application_is_no_way_around_it() -> None:
    app = FastAPI(docs_url=None, redoc_url=None)
    app.mount("/inside", FastAPI())
    with pytest.raises(CannotStart):
        check_declared(app)


def test_a_lead_sees_the_quotas_that_bind_the_project(api: Api, centre: Centre) -> None:
    for account in ("cadt", "itc", "vision"):
        assert api.put(f"/quotas/{account}/{H100}", {"borrow_limit": 3}).status == 200
    lead = api.as_(centre.population.tokens["dara"])
    assert [quota["account"] for quota in lead.get("/quotas").json["items"]] == ["cadt"]
