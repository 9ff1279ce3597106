"""Verifies a proof of the audit tree without the centre: python -I proof.py PROOF.json --key KEY [--key KEY …]

PROOF.json is what ``baray admin audit proof`` or ``baray admin audit export`` wrote; an export is read line by line, of
any length. KEY is the centre's public key as it was published (a C2SP verifier key, or a file that holds one): a copy
that you trust, not the one in the proof. This file needs Python 3.11 and the package ``cryptography``, and nothing of
Baray. It says what it has proved, or why not, and exits with 0 or 1.
"""

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

_LONGEST = 2**24  # bytes of a line


class Refuted(Exception):
    """The proof proves nothing."""


class Head(NamedTuple):
    """A signed head: the tree's name, its number of leaves, its root and when it was signed."""

    name: str
    size: int
    root: bytes
    at_ms: int


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def read_head(note: str, keys: list[str]) -> Head:
    """The head in a signed note, if one of the keys signed it."""
    text, _, rest = note.partition("\n\n")
    name, size, root, time = text.split("\n")
    for line in rest.splitlines():
        dash, signer, encoded = line.split(" ")
        blob = base64.b64decode(encoded, validate=True)
        if dash == "\u2014" and signer == name and any(signs(key, name, blob, f"{text}\n".encode()) for key in keys):
            return Head(
                name, int(size), base64.b64decode(root, validate=True), int(time.removeprefix("baray-time-ms "))
            )
    raise Refuted("the head is not signed by a key that you gave")


def signs(key: str, name: str, blob: bytes, text: bytes) -> bool:
    """Whether the key made the signature: four bytes that name the key, then the signature itself."""
    of, _, rest = key.partition("+")
    hash_, _, encoded = rest.partition("+")
    public = base64.b64decode(encoded, validate=True)
    named = hashlib.sha256(of.encode() + b"\n" + public).digest()[:4]
    if of != name or public[:1] != b"\x01" or (hash_, blob[:4]) != (named.hex(), named):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public[1:]).verify(blob[4:], text)
    except InvalidSignature:
        return False
    return True


def included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """RFC 9162, section 2.1.3.2."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, hashlib.sha256(b"\x00" + leaf).digest()
    for one in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node(one, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node(found, one)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def grown(old: Head, new: Head, path: list[bytes]) -> bool:
    """RFC 9162, section 2.1.4.2."""
    if not 0 < old.size <= new.size:
        return False
    if old.size == new.size:
        return not path and old.root == new.root
    hashes = [old.root, *path] if old.size & (old.size - 1) == 0 else path
    if not hashes:
        return False
    at, last = old.size - 1, new.size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node(one, before), node(one, after)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            after = node(after, one)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old.root and after == new.root


def verify(proof: dict[str, Any], keys: list[str]) -> str:
    """What the proof proves, in words. Raises Refuted if it does not."""
    if proof["format"] != "baray-proof/1":
        raise Refuted(f"this verifier does not know the format {proof['format']!r}")
    head, path = read_head(proof["note"], keys), [bytes.fromhex(one) for one in proof["path"]]
    of_head = f"the tree of {head.size} leaves that {head.name} signed at {head.at_ms} ms since 1970 (UTC)"
    if proof["type"] == "inclusion":
        if not included(proof["leaf"].encode(), proof["index"], head.size, path, head.root):
            raise Refuted(f"the leaf is not in {of_head}")
        return f"leaf {proof['index']} is in {of_head}:\n{proof['leaf']}"
    old = read_head(proof["old_note"], keys)
    if not grown(old, head, path):
        raise Refuted(f"the tree of {old.size} leaves is not the beginning of {of_head}")
    return f"the tree of {old.size} leaves, signed at {old.at_ms}, is the beginning of {of_head}"


def verify_export(lines: Iterable[bytes], keys: list[str]) -> str:
    """What an export of the audit trail proves, in words. Raises Refuted if any of it is not so."""
    whole, told, last = Whole(), iter(lines), b""
    claim, heads = whole.read(next(told, b"")), whole.read(next(told, b""))
    head, old = read_head(heads["note"], keys), read_head(heads["old_note"], keys)
    if not grown(old, head, [bytes.fromhex(one) for one in heads["path"]]):
        raise Refuted(f"the tree of {old.size} leaves is not the beginning of that of {head.size}")
    index, entries, personal = -1, 0, 0
    for last in told:
        line = json.loads(last)
        if "sha256" in line:
            break
        whole.read(last)
        if line["index"] <= index:
            raise Refuted(f"leaf {line['index']} is not after leaf {index}")
        index, entries = line["index"], entries + 1
        personal += check_entry(line, head, claim)
    if json.loads(last or b"{}") != {"lines": whole.lines, "sha256": whole.digest.hexdigest()} or next(told, None):
        raise Refuted("the file is not as it was written: lines are missing, added or altered")
    return (
        f"{entries} audit entries of {claim['from_ms']} to {claim['until_ms']} ms since 1970 (UTC), {personal} of them with who "
        f"and why, are in the tree of {head.size} leaves that {head.name} signed at {head.at_ms}; it begins with the tree "
        f"of {old.size} leaves that was signed at {old.at_ms}"
    )


class Whole:
    """The lines that were read: how many, and their SHA-256."""

    def __init__(self) -> None:
        self.lines = 0
        self.digest = hashlib.sha256()

    def read(self, line: bytes) -> dict[str, Any]:
        self.lines += 1
        self.digest.update(line)
        told = json.loads(line)
        if not isinstance(told, dict):
            raise Refuted(f"line {self.lines} is no object")
        return told


def check_entry(line: dict[str, Any], head: Head, claim: dict[str, Any]) -> bool:
    """Whether the entry comes with who and why. Raises Refuted if it is not in the tree, or not what was committed to."""
    path = [bytes.fromhex(one) for one in line["path"]]
    if not included(line["leaf"].encode(), line["index"], head.size, path, head.root):
        raise Refuted(f"leaf {line['index']} is not in the tree of {head.size} leaves")
    leaf = json.loads(line["leaf"])
    if leaf["leaf"] != "audit" or not claim["from_ms"] <= leaf["entry"]["at_ms"] < claim["until_ms"]:
        raise Refuted(f"leaf {line['index']} is not an audit entry of the time that the file is of")
    if "personal" not in line and "salt" not in line:
        return False
    committed = hashlib.sha256(bytes.fromhex(line["salt"]) + line["personal"].encode()).hexdigest()
    if committed != leaf["entry"]["commitment"]:
        raise Refuted(f"leaf {line['index']} says another who or why than it was committed to")
    return True


def read(file: Path, keys: list[str]) -> str:
    """What the file proves, whichever it is."""
    with file.open("rb") as lines:
        first = lines.readline(_LONGEST)
        lines.seek(0)
        if first.endswith(b"}\n") and json.loads(first).get("format") == "baray-audit/1":
            return verify_export(iter(lambda: lines.readline(_LONGEST), b""), keys)
        return verify(json.loads(lines.read()), keys)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("proof", type=Path, help="the file that holds the proof")
    parser.add_argument("--key", action="append", required=True, help="a public key, or a file that holds one")
    given = parser.parse_args()
    try:
        keys = [Path(key).read_text(encoding="utf-8").strip() if Path(key).is_file() else key for key in given.key]
        said = read(given.proof, keys)
    except (Refuted, OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        sys.stderr.write(f"NOT PROVED: {error}\n")
        return 1
    sys.stdout.write(f"proved: {said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
