"""Two people of the small centre with something of theirs in every table that may hold it, under words easily found."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import insert, select, update

from domain.jobs import JobSpec
from domain.logins import DeviceLogin, DeviceState, Identity, Password, Session
from domain.oversight import Acting, Approval
from domain.people import TokenKind, User
from domain.personal import RECORDS
from lifecycle.custody import ErasureRequest
from lifecycle.identity import PersonChange
from lifecycle.witness import witness
from store.dossier import mine
from store.kept import write_down
from store.tables import Base
from store.tables.gates import GateRuleRow
from tests.support.centre import Centre
from tests.support.factories import spec


@dataclass(frozen=True, slots=True)
class Marked:
    """``marks`` are words that only their rows hold: what is in the export. ``secrets`` must never be in one."""

    user: User
    marks: tuple[str, ...]
    secrets: tuple[str, ...]


def mark(centre: Centre, name: str, word: str, other: str = "admin") -> Marked:
    """Give somebody rows of every kind. ``word`` is the stem of all their words; ``other`` a person who acted for them."""
    now = centre.clock.now_ms()
    job = centre.submit(with_env(spec(name=f"{word}-job", command="run 1m"), {"KEY": f"{word}-env"}), name)
    centre.run()
    with centre.store.write() as uow:
        user, helper = uow.people.user(name), uow.people.user(other)
        assert user is not None
        assert helper is not None
        user = uow.people.save_user(
            replace(user, title=f"{word} title", email=f"{word}@mail.example", affiliation=f"{word}-affiliation")
        )
        uow.logins.add_identity(Identity(0, user.id, f"https://{word}-issuer", f"{word}-subject", "idp", now, now))
        uow.logins.put_password(Password(user.id, f"{word}-hash", now))
        first = uow.people.tokens(user.id)[0]
        session = uow.people.add_token(
            replace(first, id=0, name=f"{word}-session", kind=TokenKind.SESSION), word.encode() * 3
        )
        sealed = f"{word}-id-token".encode()
        uow.logins.add_session(Session(session.id, "idp", f"https://{word}-issuer", None, f"{word}-sid", sealed))
        device = DeviceLogin(
            0, f"{word}-code", f"{word}-client", f"{word}-address", now, now + 1, 5, DeviceState.DENIED, user_id=user.id
        )  # fmt: skip
        uow.logins.add_device(device, f"{word}-digest".encode())
        uow.oversight.add_acting(Acting(0, helper.id, user.id, f"{word}-acting {name} asked", now, now + 1))
        uow.oversight.add_approval(
            Approval(0, "give_role", "/users", f'{{"name":"\\"{name}\\""}}', "{}", user.id, now, now + 1)
        )
        uow.privacy.add_change(PersonChange(0, user.id, "title", centre.vault.seal(f"{word}-before"), now, helper.id))
        uow.custody.ask_erasure(ErasureRequest(user.id, now, f"{word}-request"))
        uow.once.keep(user.id, f"{word}-key", b"d", 201, f"{word}-body".encode(), now)
        uow.once.keep(helper.id, f"helper-{user.id}", b"d", 201, f'{{"name":"{name}"}}'.encode(), now)
        entry = witness(uow.audit, now, "act", "/x", {}, {"by": name, "reason": f"{word}-why", "path": f"/{word}-path"})
        uow.privacy.note(entry.id, [(user.id, "by")])
        about = witness(
            uow.audit, now, "act", "/x", {}, {"by": other, "path": f"/users/{name}", "reason": f"{word}-about"}
        )
        uow.privacy.note(about.id, [(helper.id, "by"), (user.id, "about")])
    _office(centre, user, word, job.id)
    marks = (
        name, f"{word} title", f"{word}@mail.example", f"{word}-affiliation", f"{word}-issuer", f"{word}-subject",
        f"{word}-session", f"{word}-sid", f"{word}-code", f"{word}-client", f"{word}-address", f"{word}-acting",
        f"{word}-before", f"{word}-request", f"{word}-key", f"{word}-why", f"{word}-path", f"{word}-about", f"{word}-job",
        f"{word}-env", f"{word}-gate", f"{word}-purpose",
    )  # fmt: skip
    return Marked(user, marks, (f"{word}-hash", f"{word}-digest", f"{word}-id-token", f"{word}-body"))


def with_env(plain: JobSpec, env: dict[str, str]) -> JobSpec:
    return replace(plain, env=env)


def _office(centre: Centre, user: User, word: str, job_id: int) -> None:
    """An act of office, and what they asked for; in the words of the database."""
    gates, allocation = (Base.metadata.tables[name] for name in ("gate_rule", "allocation"))
    with centre.database.connect(writes=True) as connection:
        values: dict[str, Any] = {
            "gate": "training-passed", "account_id": 1, "from_ms": 2**50, "ask": "user", "user_id": user.id,
            "created_ms": 0, "reason": f"{word}-gate, said {user.name}",
        }  # fmt: skip
        connection.execute(insert(gates).values(**values))
        write_down(connection, GateRuleRow, GateRuleRow.user_id == user.id, centre.clock.now_ms())
        mine = select(allocation.c.id).where(allocation.c.requested_by.is_(None)).order_by(allocation.c.id).limit(1)
        purpose = f"{word}-purpose of {user.title}"
        asked = update(allocation).where(allocation.c.id == mine.scalar_subquery())
        connection.execute(asked.values(requested_by=user.id, purpose=purpose))


def kinds_with_rows(centre: Centre, user: User) -> set[str]:
    """Which kinds of the register have rows of theirs: a test asks that they are nearly all."""
    found = set()
    with centre.database.connect() as connection:
        for record in RECORDS:
            table = Base.metadata.tables[record.table]
            if connection.execute(select(table).where(mine(table, record, user.id)).limit(1)).first() is not None:
                found.add(record.kind)
    return found
