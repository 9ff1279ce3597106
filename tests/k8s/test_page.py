"""The example of docs/kubernetes-objects.md against what the code makes of its job file."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from api.http.schemas.jobs import JobFile
from cli.output import to_yaml
from domain.clusters import ClusterConfig
from domain.ids import AttemptId
from domain.jobs import Launch, Placement
from k8s.manifests.build import build, shown
from k8s.manifests.site import Site

PAGE = Path(__file__).parents[2] / "docs" / "kubernetes-objects.md"


def blocks() -> list[Any]:
    """What stands in the page as YAML: the job file, then its objects."""
    found = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [list(YAML(typ="safe", pure=True).load_all(block)) for block in found]


def made(job_file: Any) -> list[dict[str, Any]]:
    spec = JobFile.model_validate(job_file).to_spec()
    launch = Launch(
        AttemptId(1842, None, 1), spec, "h100-80gb", (Placement("gpu-3", (4, 5)),), 7, dict.fromkeys(spec.secrets, "hush")
    )  # fmt: skip
    config = ClusterConfig(volumes={"dataset/khmer-ocr@v3": "khmer-ocr-v3"})
    site = Site("c0ffee", "baray-khmer-asr", config, {"gpu-3": "nvidia.com/gpu"})
    return list(shown(build(launch, site)))


def test_the_page_shows_what_is_made() -> None:
    (job_file,), objects = blocks()
    expected = made(job_file)
    assert objects == expected, "the page should have:\n" + "---\n".join(map(to_yaml, expected))
