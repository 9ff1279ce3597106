"""Users, what they may do, how they prove who they are, and who looked over whose shoulder."""

from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from store.tables.base import Base, big, optional_big, pk


class UserRow(Base):
    __tablename__ = "user"

    id: Mapped[pk]
    name: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    email: Mapped[str | None]
    kind: Mapped[str] = mapped_column(server_default="person")
    state: Mapped[str] = mapped_column(server_default="active")
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"), index=True)
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"), index=True)
    affiliation: Mapped[str | None]
    assurance: Mapped[big] = mapped_column(server_default="0")
    created_ms: Mapped[big] = mapped_column(server_default="0")
    version: Mapped[big] = mapped_column(server_default="1")


class RoleRow(Base):
    """A role that is held; it holds no more from ``until_ms`` on."""

    __tablename__ = "role"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    from_ms: Mapped[big] = mapped_column(server_default="0")
    until_ms: Mapped[optional_big]


class PastRoleRow(Base):
    """A role that was held, and was taken."""

    __tablename__ = "past_role"

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    role: Mapped[str]
    from_ms: Mapped[big]
    until_ms: Mapped[big]


class FunderOfficerRow(Base):
    """Who sees what a funder's money did."""

    __tablename__ = "funder_officer"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    funder_id: Mapped[int] = mapped_column(ForeignKey("funder.id"), primary_key=True, index=True)
    from_ms: Mapped[big]


class TokenRow(Base):
    """``scopes``: names of permissions, sorted, with spaces between; NULL is all that the user has."""

    __tablename__ = "token"

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    name: Mapped[str]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_ms: Mapped[big]
    expires_ms: Mapped[optional_big]
    revoked_ms: Mapped[optional_big]
    last_used_ms: Mapped[optional_big]
    kind: Mapped[str] = mapped_column(server_default="personal")
    scopes: Mapped[str | None] = mapped_column(Text)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    idle_ms: Mapped[optional_big]
    login_ms: Mapped[optional_big]
    level: Mapped[big] = mapped_column(server_default="0")


class IdentityRow(Base):
    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    issuer: Mapped[str]
    subject: Mapped[str]
    provider: Mapped[str]
    first_ms: Mapped[big]
    last_ms: Mapped[big]


class PasswordRow(Base):
    __tablename__ = "password"

    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    hash: Mapped[str]
    changed_ms: Mapped[big]
    failures: Mapped[big] = mapped_column(server_default="0")
    locked_ms: Mapped[optional_big]


class SessionRow(Base):
    """What a browser's session, a token of its own, is with its provider."""

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_sid", "issuer", "sid"),
        Index("ix_login_session_subject", "issuer", "subject"),
    )

    token_id: Mapped[int] = mapped_column(ForeignKey("token.id"), primary_key=True)
    provider: Mapped[str]
    issuer: Mapped[str | None]
    subject: Mapped[str | None]
    sid: Mapped[str | None]
    id_token: Mapped[bytes | None] = mapped_column(LargeBinary)


class DeviceLoginRow(Base):
    __tablename__ = "device_login"

    id: Mapped[pk]
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_code: Mapped[str] = mapped_column(unique=True)
    client: Mapped[str]
    address: Mapped[str]
    created_ms: Mapped[big]
    expires_ms: Mapped[big] = mapped_column(index=True)
    interval_ms: Mapped[big]
    state: Mapped[str]
    polled_ms: Mapped[optional_big]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    login_ms: Mapped[optional_big]
    level: Mapped[big] = mapped_column(server_default="0")


class SpentRow(Base):
    """What may be used once and was: the ids of logout tokens, of logins. Swept when it could not be used any more."""

    __tablename__ = "spent"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires_ms: Mapped[big] = mapped_column(index=True)


class ActingRow(Base):
    __tablename__ = "acting"

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    for_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    reason: Mapped[str] = mapped_column(Text)
    from_ms: Mapped[big]
    until_ms: Mapped[big]
    ended_ms: Mapped[optional_big]


class ApprovalRow(Base):
    __tablename__ = "approval"

    id: Mapped[pk]
    action: Mapped[str]
    subject: Mapped[str]
    request: Mapped[str] = mapped_column(Text)
    facts: Mapped[str] = mapped_column(Text)
    asked_by: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    asked_ms: Mapped[big]
    expires_ms: Mapped[big]
    state: Mapped[str] = mapped_column(index=True)
    decided_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))
    decided_ms: Mapped[optional_big]
    reason: Mapped[str | None] = mapped_column(Text)
    version: Mapped[big]


class FourEyesRow(Base):
    """What needs a second person, from then on until the next."""

    __tablename__ = "four_eyes"

    id: Mapped[pk]
    from_ms: Mapped[big]
    document: Mapped[dict[str, Any]]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    reason: Mapped[str] = mapped_column(Text)


class AuditPersonRow(Base):
    """Which people an audit entry is by, for or about. Not sealed: it goes when they are erased."""

    __tablename__ = "audit_person"

    entry_id: Mapped[int] = mapped_column(ForeignKey("audit_entry.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True, index=True)
    part: Mapped[str] = mapped_column(primary_key=True)


class PersonChangeRow(Base):
    """What somebody's data was before it was put right, sealed."""

    __tablename__ = "person_change"

    id: Mapped[pk]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    field: Mapped[str]
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    changed_ms: Mapped[big] = mapped_column(index=True)
    by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))


class LegalHoldRow(Base):
    """Nothing of a user, an account and what is below it, or of anybody (neither is named) is erased or swept."""

    __tablename__ = "legal_hold"

    id: Mapped[pk]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    reason: Mapped[str] = mapped_column(Text)
    by_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    from_ms: Mapped[big]
    lifted_ms: Mapped[optional_big]
    lifted_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"))


class SweepRow(Base):
    """What a retention run removed: kinds and counts, no names."""

    __tablename__ = "sweep"

    id: Mapped[pk]
    at_ms: Mapped[big]
    removed: Mapped[dict[str, int]]
