"""Signed heads as texts that others read: C2SP checkpoints in signed notes, and keys as C2SP verifier keys.

A checkpoint is the tree's name, its size and the base64 of its root, a line each; here with one extension line, the
time. The signature stands below, after an empty line: ``— name base64(key hash ‖ signature)``. See docs/audit.md.
"""

import base64
import hashlib

from quotas.leaves import PublicKey, TreeHead

_ED25519 = b"\x01"
_TIME = "baray-time-ms"


def checkpoint(name: str, size: int, root: bytes, at_ms: int) -> bytes:
    """What a head's signature is over."""
    return f"{name}\n{size}\n{base64.b64encode(root).decode()}\n{_TIME} {at_ms}\n".encode()


def signed_note(head: TreeHead, key: PublicKey) -> str:
    """The head as a signed note."""
    signature = base64.b64encode(_key_hash(key) + head.signature).decode()
    return f"{checkpoint(key.name, head.size, head.root, head.at_ms).decode()}\n\u2014 {key.name} {signature}\n"


def verifier_key(key: PublicKey) -> str:
    """The public key as others take it: ``name+hash+base64``."""
    return f"{key.name}+{_key_hash(key).hex()}+{base64.b64encode(_ED25519 + key.public).decode()}"


def _key_hash(key: PublicKey) -> bytes:
    return hashlib.sha256(key.name.encode() + b"\n" + _ED25519 + key.public).digest()[:4]
