"""Logins of a device without a browser (RFC 8628): begun there, approved in a browser elsewhere, claimed there once."""

import re
import secrets
from dataclasses import replace

from domain.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from domain.logins import DeviceLogin, DeviceState
from domain.people import Caller, Token, TokenKind, UserKind
from lifecycle import tokens
from lifecycle.login import note
from lifecycle.people import CAN_LOG_IN, digest
from lifecycle.ports import Store, UnitOfWork
from lifecycle.words import check_line

LASTS_MS = 600_000
INTERVAL_MS = 5_000
SLOWER_MS = 5_000  # RFC 8628, 3.5: who asks too soon waits so much longer from then on
MOST_INTERVAL_MS = 60_000
MOST_WAITING = 20  # of one address
CLIENT_LENGTH = 100

# Consonants alone, so that no code is a word, and none of them is taken for another (RFC 8628, 6.1).
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"
_LETTERS = 8
_CODE = re.compile(f"[{ALPHABET}]{{4}}-[{ALPHABET}]{{4}}")
_DEVICE_CODE = re.compile(r"[A-Za-z0-9_-]{20,100}")


def begin(uow: UnitOfWork, client: str, address: str, now_ms: int) -> tuple[DeviceLogin, str]:
    """A new login, and the device code that claims it, which cannot be had again. ``client`` is what the device calls
    itself; people see it where they approve.
    """
    if len(check_line(client, "client")) > CLIENT_LENGTH:
        raise Invalid("is too long", "client", fix=f"use at most {CLIENT_LENGTH} characters")
    if uow.logins.devices_waiting(address, now_ms) >= MOST_WAITING:
        error = Refused("too many logins wait from this address", fix="finish one, or wait", code="rate-limited")
        error.retry_after_s = LASTS_MS // 1_000
        raise error
    text = secrets.token_urlsafe(32)
    code = _new_code()
    while uow.logins.device_of(code) is not None:
        code = _new_code()
    device = DeviceLogin(0, code, client, address, now_ms, now_ms + LASTS_MS, INTERVAL_MS)
    return uow.logins.add_device(device, digest(text)), text


def look_up(uow: UnitOfWork, user_code: str, now_ms: int) -> DeviceLogin:
    """The login that waits to be approved. Raises NotFound, with the same words for codes that never were."""
    return _waiting(uow, user_code, now_ms, lock=False)


def decide(uow: UnitOfWork, user_code: str, caller: Caller, approve: bool, now_ms: int) -> DeviceLogin:
    """Approve or deny a login. Only a person does, for themselves, in a browser's session that may do all they may."""
    token = caller.token
    if token.kind is not TokenKind.SESSION or caller.acting_by is not None or caller.user.kind is not UserKind.PERSON:
        raise NotAllowed("a device's login is approved in a browser, by who logs in", fix="open the address it showed")
    if token.scopes is not None or token.account_id is not None:
        raise NotAllowed("this session may not log in a device", fix="choose a password of your own first")
    device = _waiting(uow, user_code, now_ms, lock=True)
    if approve:
        state, login_ms, level = DeviceState.APPROVED, token.login_ms, token.level
        decided = replace(device, state=state, user_id=caller.user.id, login_ms=login_ms, level=level)
    else:
        decided = replace(device, state=DeviceState.DENIED, user_id=caller.user.id)
    uow.logins.save_device(decided)
    return decided


def claim(store: Store, device_code: str, now_ms: int, lasts_ms: int) -> tuple[Token, str]:
    """The token of an approved login, once. Raises errors with the codes of RFC 8628: ``authorization_pending``,
    ``slow_down``, ``access_denied``, ``expired_token``.

    Opens a transaction of its own, which stays when an error is raised: call it outside of any.
    """
    with store.write() as uow:
        claimed = _claim(uow, device_code, now_ms, lasts_ms)
    if isinstance(claimed, Conflict):
        raise claimed
    return claimed


def _claim(uow: UnitOfWork, device_code: str, now_ms: int, lasts_ms: int) -> tuple[Token, str] | Conflict:
    known = _DEVICE_CODE.fullmatch(device_code) is not None
    device = uow.logins.device(digest(device_code), lock=True) if known else None
    if device is None or device.state is DeviceState.CLAIMED or device.expires_ms <= now_ms:
        return _told("expired_token", "the login is over, or never was", "begin anew: baray login")
    if device.state is DeviceState.DENIED:
        return _told("access_denied", "the login was denied", "begin anew if this was a mistake: baray login")
    if device.polled_ms is not None and now_ms - device.polled_ms < device.interval_ms:
        slower = replace(device, polled_ms=now_ms, interval_ms=min(device.interval_ms + SLOWER_MS, MOST_INTERVAL_MS))
        uow.logins.save_device(slower)
        return _told("slow_down", "asked too soon", "ask less often", slower.interval_ms)
    if device.state is DeviceState.WAITING:
        uow.logins.save_device(replace(device, polled_ms=now_ms))
        return _told("authorization_pending", "nobody approved it yet", "ask again", device.interval_ms)
    uow.logins.save_device(replace(device, state=DeviceState.CLAIMED, polled_ms=now_ms))
    user = None if device.user_id is None else uow.people.user_of(device.user_id)
    if user is None or user.state not in CAN_LOG_IN:
        return _told("access_denied", "the user may not log in any more", "ask an administrator")
    token, text = tokens.keep(
        uow,
        Token(
            0, user.id, device.client, now_ms, now_ms + lasts_ms, kind=TokenKind.LOGIN, login_ms=device.login_ms,
            level=device.level,
        ),
    )  # fmt: skip
    note(uow, "claim_device", "device", {user.id: user.name}, {"device": device.id, "token": token.id}, now_ms)
    return token, text


def _told(code: str, message: str, fix: str, wait_ms: int | None = None) -> Conflict:
    error = Conflict(message, "device_code", fix=fix, code=code)
    error.retry_after_s = None if wait_ms is None else wait_ms // 1_000
    return error


def _waiting(uow: UnitOfWork, user_code: str, now_ms: int, *, lock: bool) -> DeviceLogin:
    code = _read(user_code)
    device = None if code is None else uow.logins.device_of(code, lock=lock)
    if device is None or device.state is not DeviceState.WAITING or device.expires_ms <= now_ms:
        raise NotFound(
            "no login waits with this code",
            "user_code",
            fix="compare it with what the device shows, and begin anew there",
        )
    return device


def _new_code() -> str:
    letters = "".join(secrets.choice(ALPHABET) for _ in range(_LETTERS))
    return f"{letters[:4]}-{letters[4:]}"


def _read(text: str) -> str | None:
    """A user code as people type it: small letters, without its dash, with spaces. None if it cannot be one."""
    letters = "".join(text[:40].upper().replace("-", "").split())
    code = f"{letters[:4]}-{letters[4:]}"
    return code if _CODE.fullmatch(code) else None
