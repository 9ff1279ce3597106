"""``baray admin audit verify`` and ``rotate-key``: commands of the machine that holds the database and the key."""

import base64
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from domain.errors import CannotStart, Invalid
from lifecycle.keys import follow
from lifecycle.verify import Altered, Verification
from quotas.notes import verifier_key
from runtime.clock import SystemClock
from runtime.settings import Settings
from runtime.up import read_settings
from store.engine import open_engine
from store.schema import is_current
from store.signer import make_key, next_of, public_of, signed_by
from store.unit_of_work import Store

_BEGIN_S, _EVERY_S = 2.0, 5.0


def verify(given: Mapping[str, Any], notes: tuple[Path, ...], form: str, *, quiet: bool) -> int:
    """Check the whole tree. Answers the exit code: 0 if all is well, 5 if something was altered."""
    settings = read_settings(given)
    known = dict(_head_of(path) for path in notes)
    store = _open(settings)
    begun, told = time.monotonic(), 0.0

    def progress(leaves: int) -> None:
        nonlocal told
        spent = time.monotonic() - begun
        if not quiet and spent > max(_BEGIN_S, told + _EVERY_S):
            told = spent
            click.echo(f"{leaves:,} leaves checked, {leaves / spent:,.0f} a second", err=True)

    key = settings.audit_key_file
    found: Altered | None = None
    try:
        with store.read() as uow:
            check = Verification(uow, signed_by, public_of(key) if key.exists() else None, known)
            try:
                check.run(progress)
            except Altered as error:
                found = error
    finally:
        store.close()
    spent = max(time.monotonic() - begun, 1e-3)
    if not key.exists() and not quiet:
        click.echo(f"note: {key} is not here, so the newest listed key was believed", err=True)
    _print(check, found, spent, form)
    return 0 if found is None else 5


def rotate(given: Mapping[str, Any], reason: str, form: str) -> None:
    """Make the next key, list it, and let it sign. The old one is listed for ever, and signs no more."""
    settings = read_settings(given)
    if not 0 < len(reason) <= 1_000:
        raise Invalid("a reason is 1 to 1000 characters", "--reason")
    path = settings.audit_key_file
    store = _open(settings)
    try:
        with store.read() as uow:
            listed = uow.seals.public_keys()
        following = next_of(path)
        if following.exists() and not (listed and public_of(following) == listed[-1].public):
            following.unlink()  # of a rotation that ended before the key was listed
        if following.exists():
            following.replace(path)
        public = make_key(following)
        with store.write() as uow:
            key = follow(uow, settings.audit_name, public, reason, SystemClock().now_ms())
        following.replace(path)
    finally:
        store.close()
    told = {"id": key.id, "name": key.name, "key": verifier_key(key), "from_ms": key.from_ms}
    if form == "json":
        click.echo(json.dumps(told))
    else:
        click.echo(f"key {key.id} signs from now on; publish it:\n  {verifier_key(key)}")


def _open(settings: Settings) -> Store:
    if not settings.database_url and not (settings.data_dir / "baray.db").exists():
        raise CannotStart(
            f"there is no centre in {settings.data_dir}",
            fix="name its directory with --data-dir, or BARAY_DATABASE_URL",
        )
    engine = open_engine(settings.url)
    if not is_current(engine):
        raise CannotStart(
            "the database is of an older version", fix="start the centre once, which brings it up to date"
        )
    return Store(engine)


def _head_of(path: Path) -> tuple[int, bytes]:
    """Size and root of a head that somebody kept: a signed note."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return int(lines[1]), base64.b64decode(lines[2], validate=True)
    except (OSError, ValueError, IndexError) as error:
        raise Invalid(
            f"{path} is no signed head" + (f": {error.strerror}" if isinstance(error, OSError) else ""),
            "--head",
            fix="give what baray admin audit heads --note wrote",
        ) from error


def _print(check: Verification, found: Altered | None, spent_s: float, form: str) -> None:
    rate = round(check.leaves / spent_s)
    if form == "json":
        told: dict[str, Any] = {
            "sound": found is None, "leaves": check.leaves, "heads": check.heads, "leaves_per_second": rate,
            "first": None if found is None else {"kind": str(found.kind), "row": found.row, "what": str(found).strip()},
        }  # fmt: skip
        click.echo(json.dumps(told))
    elif found is None:
        click.echo(
            f"sound: {check.leaves:,} leaves, {check.heads:,} signed heads, the ledger balances ({rate:,} leaves/s)"
        )
    else:
        click.echo(f"ALTERED: {str(found).strip()}")
        click.echo(f"  {check.leaves:,} leaves before it are sound", err=True)
    sys.stdout.flush()
