"""The bill of materials is valid, whole, the same every time, and holds no licence that we may not use."""

import json
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from license_expression import AND, OR, get_spdx_licensing

from tests import sbom

TEXTS = [path.read_text(encoding="utf-8") for path in (sbom.LOCK, sbom.LICENCES, sbom.ROOT / "pyproject.toml")]
LICENCES: Mapping[str, Any] = tomllib.loads(TEXTS[1])
LOCKED = sbom.read_lock(TEXTS[0])
SPDX = get_spdx_licensing()

# Never, whatever an exception says: they reach over the network to what merely uses them, or forbid trades.
NEVER = re.compile(r"AGPL|SSPL|BUSL|Elastic|Commons-Clause|-NC-|LicenseRef|NOASSERTION|NONE|UNKNOWN", re.IGNORECASE)

# Of a package that gives no expression: a word of what it does say, which its line must agree with.
FAMILIES = {
    "PSF": "PSF", "Python Software Foundation": "PSF", "Apache": "Apache", "MIT": "MIT", "BSD": "BSD", "ISC": "ISC",
    "MPL": "MPL", "GPL": "GPL", "Affero": "AGPL", "Proprietary": "LicenseRef",
}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    missing = {one.name: declared(one.name) for one in LOCKED if one.name not in LICENCES["packages"]}
    assert missing == {}, "licences.toml needs a line for each of these"
    return sbom.bill(TEXTS[0], TEXTS[1], TEXTS[2])


def declared(name: str) -> str:
    """What an installed package says of its licence; empty if it is not installed here."""
    try:
        told = Distribution.from_name(name).metadata
    except PackageNotFoundError:
        return ""
    classes = [one for one in told.get_all("Classifier") or [] if one.startswith("License ::")]
    return told.get("License-Expression") or "; ".join([(told.get("License") or "")[:60], *classes])


def test_it_is_valid(document: dict[str, Any]) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom.written(document)) is None
    broken = {**document, "components": [{"name": "no type"}]}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(broken)) is not None, "the validator bites"


def test_it_lists_every_locked_package_once_with_its_hashes(document: dict[str, Any]) -> None:
    """Counted in the lock's text by another way than the bill's own reader."""
    pinned = re.findall(r"^(\S+)==(\S+)", TEXTS[0], re.MULTILINE)
    listed = [(one["name"], one["version"]) for one in document["components"]]
    assert listed == pinned
    assert len(set(listed)) == len(listed)
    hashes = [h["content"] for one in document["components"] for h in one["externalReferences"][0]["hashes"]]
    assert hashes == re.findall(r"sha256:([0-9a-f]{64})", TEXTS[0])
    assert document["metadata"]["component"]["name"] == "baray"


def test_what_needs_what_is_closed(document: dict[str, Any]) -> None:
    """Everything is reached from Baray, and what is required by way of no extra is said to be."""
    refs = {one["bom-ref"] for one in document["components"]}
    needs = {one["ref"]: set(one["dependsOn"]) for one in document["dependencies"]}
    reached, ahead = set(), {document["metadata"]["component"]["bom-ref"]}
    while ahead:
        reached |= ahead
        ahead = set().union(*(needs[ref] for ref in ahead)) - reached
    assert reached == refs | {document["metadata"]["component"]["bom-ref"]}
    optional = {one["name"] for one in document["components"] if one["scope"] == "optional"}
    assert {"scikit-learn", "hatchling"} <= optional
    assert not optional & {"fastapi", "starlette", "sqlalchemy", "cryptography", "psycopg-binary", "h11"}


def test_the_same_lock_gives_the_same_bytes(document: dict[str, Any], tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        sbom.main([str(tmp_path / name)])
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    other = sbom.bill(TEXTS[0].replace(LOCKED[0].hashes[0], "0" * 64), TEXTS[1], TEXTS[2])
    assert other["serialNumber"] != document["serialNumber"], "another lock is another bill"


@pytest.mark.parametrize("name", sorted({one.name for one in LOCKED}))
def test_a_licence_is_one_that_we_may_use(name: str) -> None:
    expression = LICENCES["packages"].get(name, "UNKNOWN")
    assert not NEVER.search(expression), f"{name} is under {expression}"
    allowed = set(LICENCES["allowed"])
    if not permitted(SPDX.parse(expression, validate=True, strict=True), allowed):
        assert str(LICENCES["exceptions"].get(name, "")).startswith(f"{expression}: "), f"{name} is under {expression}"


def permitted(node: Any, allowed: set[str]) -> bool:
    if isinstance(node, AND | OR):
        return (all if isinstance(node, AND) else any)(permitted(part, allowed) for part in node.args)
    return str(node) in allowed


@pytest.mark.parametrize(
    ("expression", "may"),
    [("MIT", True), ("MIT OR AGPL-3.0-only", True), ("MIT AND AGPL-3.0-only", False), ("SSPL-1.0", False), ("GPL-3.0-only", False)],
)  # fmt: skip
def test_the_rule_bites(expression: str, may: bool) -> None:
    assert permitted(SPDX.parse(expression), set(LICENCES["allowed"])) is may


@pytest.mark.parametrize("name", sorted({one.name for one in LOCKED}))
def test_a_licence_is_what_the_package_says(name: str) -> None:
    try:
        told = distribution(name).metadata
    except PackageNotFoundError:
        pytest.skip("not installed on this platform")
    line = LICENCES["packages"].get(name)
    if expression := told.get("License-Expression"):
        assert line == expression
        return
    said = {family for word, family in FAMILIES.items() if word in declared(name)}
    assert any(family in str(line) for family in said), f"{name} says {declared(name)!r}"


def test_no_exception_is_left_over() -> None:
    assert set(LICENCES["exceptions"]) <= {one.name for one in LOCKED}
