"""``python -m tests.sbom FILE``: writes the software bill of materials of what runs, as CycloneDX 1.6 JSON.

It is made of the lock, ``licences.toml`` and nothing else: no clock, no network, not what happens to be installed. So the
same lock gives the same bytes on every machine. Hashes are those of all archives that the lock admits for a version.
"""

import hashlib
import json
import re
import sys
import tomllib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
LICENCES = ROOT / "licences.toml"

_HEAD = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+?))?\s*\\")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_VIA = re.compile(r"\s+#\s+(?:via )?(?!via$)([A-Za-z0-9][A-Za-z0-9._-]*)(?: \(pyproject\.toml\))?")
_OURS = "baray"


@dataclass(frozen=True, slots=True)
class Locked:
    """A version of a package in the lock. ``wanted_by`` names the packages that need it, and Baray itself."""

    name: str
    version: str
    marker: str | None
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]

    @property
    def ref(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


def read_lock(text: str) -> list[Locked]:
    """What the lock holds, in its order. Raises ValueError for a line that is none of a lock's."""
    blocks: list[list[str]] = []
    for line in text.splitlines():
        if line and not line[0].isspace():
            blocks.append([])
        blocks[-1].append(line)
    return [_locked(block) for block in blocks]


def _locked(block: Sequence[str]) -> Locked:
    head = _HEAD.fullmatch(block[0])
    hashes = tuple(found[1] for line in block if (found := _HASH.search(line)))
    if head is None or not hashes:
        raise ValueError(f"no version with its hashes: {block[0]}")
    via = tuple(found[1] for line in block[1:] if "--hash" not in line and (found := _VIA.fullmatch(line)))
    return Locked(head["name"], head["version"], head["marker"], hashes, via)


def canonical(name: str) -> str:
    """A package's one spelling."""
    return re.sub(r"[-_.]+", "-", name).lower()


def bill(lock: str, licences: str, project: str) -> dict[str, Any]:
    """The document, of the texts of the lock, of ``licences.toml`` and of ``pyproject.toml``."""
    locked = read_lock(lock)
    ours = tomllib.loads(project)["project"]
    known = tomllib.loads(licences)["packages"]
    always = _always(locked, {canonical(re.split(r"[^A-Za-z0-9._-]", one)[0]) for one in ours["dependencies"]})
    root = f"pkg:generic/{_OURS}@{ours['version']}"
    digest = hashlib.sha256("\0".join((lock, licences, ours["version"])).encode()).hexdigest()
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}",
        "version": 1,
        "metadata": {
            "component": {
                "bom-ref": root, "type": "application", "name": _OURS, "version": ours["version"], "purl": root,
                "description": ours["description"], "licenses": [{"expression": ours["license"]}],
            }
        },
        "components": [_component(one, known, one.name in always) for one in locked],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(one.ref for one in locked if _OURS in one.wanted_by)},
            *(
                {"ref": one.ref, "dependsOn": sorted(other.ref for other in locked if one.name in other.wanted_by)}
                for one in locked
            ),
        ],
    }  # fmt: skip


def _component(one: Locked, licences: dict[str, str], required: bool) -> dict[str, Any]:
    marker = [{"name": "baray:marker", "value": one.marker}] if one.marker else []
    return {
        "bom-ref": one.ref, "type": "library", "name": one.name, "version": one.version, "purl": one.ref,
        "scope": "required" if required else "optional",
        "licenses": [{"expression": licences[one.name]}],
        "externalReferences": [
            {
                "type": "distribution", "url": one.ref, "comment": "any of the archives of this version",
                "hashes": [{"alg": "SHA-256", "content": digest} for digest in one.hashes],
            }
        ],
        **({"properties": marker} if marker else {}),
    }  # fmt: skip


def _always(locked: Sequence[Locked], direct: set[str]) -> set[str]:
    """Names of what runs in every centre; the rest is there for building and for the demo."""
    found = set(direct)
    while more := {one.name for one in locked if found & set(one.wanted_by)} - found:
        found |= more
    return found


def written(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    texts = [path.read_text(encoding="utf-8") for path in (LOCK, LICENCES, ROOT / "pyproject.toml")]
    target = Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    document = bill(texts[0], texts[1], texts[2])
    target.write_text(written(document), encoding="utf-8")
    print(f"{target}: {len(document['components'])} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
