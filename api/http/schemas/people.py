"""Shapes of users, their tokens, services, and logins of devices."""

from typing import Annotated

from pydantic import Field, StrictBool

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Title
from api.http.schemas.centre import RoleIn
from domain.people import TokenKind, UserKind, UserState

Reason = Annotated[Prose, Field(min_length=1, max_length=1_000, examples=["on the ministry's letter of 3 May"])]
Password = Annotated[Plain, Field(min_length=1, max_length=256, json_schema_extra={"writeOnly": True})]


class UserIn(Body):
    name: Name
    title: Title
    email: Title | None = None
    tenant: Name | None = Field(default=None, description="where they belong", examples=["cadt"])


class UserPatch(Body):
    """What is left out stays as it is; `email: null` takes the address away."""

    state: Plain | None = Field(default=None, description="`suspended` or `active`", examples=["suspended"])
    title: Title | None = None
    email: Annotated[Plain, Field(max_length=254)] | None = None
    reason: Reason


class UserOut(Shape):
    """`tenant` is where they belong, or while they wait, where they ask to be admitted. `owner` answers for a service."""

    name: str
    title: str
    email: str | None
    kind: UserKind
    state: UserState
    tenant: str | None
    owner: str | None
    affiliation: str | None
    assurance: int
    created_ms: int
    version: int


class AdmitIn(Body):
    tenant: Name | None = Field(default=None, description="left out: the one that they ask for", examples=["cadt"])
    reason: Reason | None = None


class RefuseIn(Body):
    reason: Reason


class OneTimeOut(Shape):
    """To be handed over, and changed at the first login."""

    user: str
    password: str


class PasswordIn(Body):
    old: Password
    new: Password


class TokenIn(Body):
    """What is left out of `scopes` and `account` is as with the token that makes it."""

    name: Title = Field(description="what it is for", examples=["laptop"])
    expires_ms: Ms | None = None
    scopes: Annotated[list[Plain], Field(max_length=64)] | None = Field(
        default=None,
        description="sets (`read`, `jobs`, `metrics`, `audit`) and names of permissions",
        examples=[["jobs"]],
    )
    account: Name | None = Field(default=None, description="it is good there and below, and nowhere else")


class TokenOut(Shape):
    """`login_ms` is when its user proved who they are, for tokens that come of a login; `level` how well."""

    id: int
    name: str
    kind: TokenKind
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    last_used_ms: int | None
    scopes: list[str] | None
    account: str | None
    login_ms: int | None
    level: int


class NewTokenOut(TokenOut):
    token: str


class RevokeIn(Body):
    but_this: StrictBool = Field(default=False, description="the token of this request stays")


class RevokedOut(Shape):
    revoked: int


class WhoOut(Shape):
    """`acting_by` is who acts on the user's behalf; `next` is what to do, for who waits to be admitted; `funders` are
    those whose officer they are.
    """

    user: str
    title: str
    kind: UserKind
    state: UserState
    tenant: str | None
    owner: str | None
    acting_by: str | None
    next: str | None
    roles: list[RoleIn]
    funders: list[str]
    token: TokenOut


class ServiceIn(Body):
    """The caller answers for it. `account`: where it has its role."""

    name: Name
    title: Title
    account: Name
    role: Plain = Field(examples=["member"])


class ServicePatch(Body):
    owner: Name | None = Field(default=None, description="who answers for it from now on")
    state: Plain | None = Field(default=None, description="`suspended` or `active`", examples=["suspended"])
    reason: Reason | None = None


class DeviceIn(Body):
    client: Annotated[Title, Field(max_length=100)] = Field(
        default="baray", description="what the device calls itself; people see it where they approve"
    )


class DeviceOut(Shape):
    """RFC 8628, 3.2."""

    device_code: str
    user_code: str
    verification_uri: str
    verification_uri_complete: str
    expires_in: int = Field(description="seconds")
    interval: int = Field(description="seconds between two questions")


class ClaimIn(Body):
    device_code: Annotated[Plain, Field(min_length=1, max_length=200, json_schema_extra={"writeOnly": True})]


class ClaimOut(Shape):
    """RFC 6749, 5.1."""

    access_token: str
    token_type: str
    expires_in: int = Field(description="seconds")
    user: str


class CodeIn(Body):
    user_code: Annotated[Plain, Field(min_length=1, max_length=40)] = Field(examples=["WDJB-MJHT"])
    approve: StrictBool = True


class ApprovedOut(Shape):
    user_code: str
    client: str
    address: str
    state: str
    expires_ms: int
