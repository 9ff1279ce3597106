"""Every code is documented, and every documented code exists: docs/reasons.md against the code."""

import re
from pathlib import Path

import domain.images
import domain.needs
import lifecycle.gates
import lifecycle.submit
import quotas.admission
from scheduler import explain

PAGE = (Path(__file__).parents[2] / "docs" / "reasons.md").read_text(encoding="utf-8")


def documented(title: str) -> set[str]:
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))


def written(module, word: str) -> set[str]:
    return set(re.findall(rf'{word}\(\s*"([a-z-]+)"', source_of(module)))


def source_of(module) -> str:
    return Path(module.__file__).read_text(encoding="utf-8")


def test_every_reason_to_wait_is_documented() -> None:
    assert written(explain, "Reason") | written(lifecycle.gates, "Reason") == documented("Reasons to wait")


def test_every_refusal_is_documented() -> None:
    found = written(quotas.admission, "Refusal") | written(lifecycle.submit, "Refusal")
    found |= written(domain.needs, "Lack") | set(re.findall(r'code="([a-z-]+)"', source_of(domain.images)))
    assert found == documented("Refusals at submission")
