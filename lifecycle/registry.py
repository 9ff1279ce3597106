"""Once-only: what a registry of the state says of an institution, as a port, a record, and the rule that it stands.

What is kept is an attestation, not a copy of a document: which registry was asked about which number, when, in which
message, and the SHA-256 of its answer; of the answer itself only the fields that the centre uses.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from domain.accounts import Account
from domain.errors import Invalid, Refused

# Fields of a tenant that a registry may fill. ``kind`` is the account's ``tenant_kind``.
FIELDS = ("title", "kind", "sector", "province")

_NUMBER = re.compile(r"[0-9A-Za-z][0-9A-Za-z./-]{0,39}")


@dataclass(frozen=True, slots=True)
class Extract:
    """What a registry answered about one number. ``fields`` has what it told of ``FIELDS``.

    ``status`` is the registry's own word, None if it tells none; ``in_force`` is False if that word means that the
    institution is registered no longer.
    """

    registry: str
    number: str
    fields: Mapping[str, str]
    status: str | None
    in_force: bool
    message_id: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the filled fields of a tenant come from."""

    tenant_id: int
    extract: Extract
    fetched_ms: int


class Registry(Protocol):
    """A registry of institutions, reached over a network: never called within a transaction."""

    def fetch(self, number: str) -> Extract:
        """Raises NotFound for a number that the registry does not know, Unavailable if it gives no usable answer."""
        ...


class Registrations(Protocol):
    """The registrations of tenants, one each."""

    def get(self, tenant_id: int) -> Registration | None: ...
    def numbers(self, tenant_ids: Collection[int]) -> dict[int, str]: ...
    def holder(self, registry: str, number: str) -> int | None: ...
    def put(self, registration: Registration) -> None: ...


def check_number(text: str, field: str = "registration") -> str:
    """A registration number. Raises Invalid."""
    if not _NUMBER.fullmatch(text):
        raise Invalid(
            f"{text[:80]!r} is no registration number",
            field, fix="use 1 to 40 of letters, digits, '-', '.' and '/', beginning with a letter or digit",
        )  # fmt: skip
    return text


def told(account: Account) -> dict[str, str | None]:
    """The fields of a tenant that a registry may fill, as they are."""
    return {
        "title": account.title, "kind": account.tenant_kind, "sector": account.sector, "province": account.province,
    }  # fmt: skip


def check_own(registrations: Registrations, account: Account, changes: Mapping[str, str | None]) -> None:
    """Raises Refused if ``changes`` (None: none) would alter what the registry says of the account."""
    before = told(account)
    altered = [field for field, value in changes.items() if value is not None and value != before[field]]
    kept = registrations.get(account.id) if altered else None
    for field in altered:
        if kept is not None and field in kept.extract.fields:
            raise Refused(
                f"the {field} of {account.name} is what the registry {kept.extract.registry} says of number "
                f"{kept.extract.number}: it is read-only here",
                field, fix=f"have it mended there, then: baray admin tenant refresh {account.name}",
                code="registered-field",
            )  # fmt: skip
