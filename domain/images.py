"""Container images by name: what a name says, and whether a cluster takes what it names."""

import re

from domain.clusters import ClusterConfig
from domain.errors import Refused

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?|\[[0-9a-fA-F:]+\](?::\d{1,5})?)"
    r"(?P<path>(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?P<digest>@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,})?"
)
_LONGEST = 500  # characters


def image_of(named: str | None, config: ClusterConfig) -> str:
    """The image that a job runs on a cluster, as it was named. Raises Refused if there is none, or one that it does not take."""
    image = named or config.image
    if not image:
        raise Refused(
            "the job names no image, and the cluster has none for such jobs", "image", fix="name one: image: ...",
            code="no-image",
        )  # fmt: skip
    whole = in_full(image)
    match = _REFERENCE.fullmatch(whole)
    if match is None or len(image) > _LONGEST:
        raise Refused(
            f"{image[:80]!r} is no name of an image", "image", fix="write one such as registry.example/team/image:1.0",
            code="image-not-allowed",
        )  # fmt: skip
    place = match["host"] + match["path"] + "/"
    if config.registries and not any(place.startswith(in_full(f"{one.rstrip('/')}/")) for one in config.registries):
        raise Refused(
            f"image {image} comes from elsewhere than the cluster allows", "image",
            fix=f"use one from {', '.join(config.registries)}", code="image-not-allowed",
        )  # fmt: skip
    if config.digest_only and match["digest"] is None:
        raise Refused(
            f"image {image} is not named by digest, as the cluster demands", "image", fix="add its digest: @sha256:...",
            code="needs-digest",
        )  # fmt: skip
    return image


def in_full(image: str) -> str:
    """With the registry that is meant where none is written."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"docker.io/{rest}" if first == "index.docker.io" else image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"
