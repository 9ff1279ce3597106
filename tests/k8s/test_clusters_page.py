"""The role in docs/clusters.md against the one that the centre needs."""

from pathlib import Path

from ruamel.yaml import YAML

from k8s.permissions import cluster_role

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"


def test_the_page_shows_the_role_that_is_needed() -> None:
    block = PAGE.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert YAML(typ="safe", pure=True).load(block) == cluster_role()
