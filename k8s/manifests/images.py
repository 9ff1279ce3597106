"""Which image a job runs, and whether it may come from where it is (``pod`` → here)."""

import re

from domain.clusters import ClusterConfig
from k8s.manifests.site import Unstartable

_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9.-]*(?::\d{1,5})?|\[[0-9a-fA-F:]+\](?::\d{1,5})?)"
    r"(?P<path>(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+)"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
    r"(?P<digest>@[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,})?"
)
_LONGEST = 500  # characters


def image_of(named: str | None, config: ClusterConfig) -> str:
    """The image, as it was named. Raises Unstartable if there is none, or one that is not allowed here."""
    image = named or config.image
    if not image:
        raise Unstartable("The job names no image, and the cluster has none for such jobs. Name one: image: ...")
    whole = in_full(image)
    match = _REFERENCE.fullmatch(whole)
    if match is None or len(image) > _LONGEST:
        raise Unstartable(f"{image[:80]!r} is no name of an image. Write one such as registry.example/team/image:1.0.")
    place = match["host"] + match["path"] + "/"
    if config.registries and not any(place.startswith(in_full(f"{one.rstrip('/')}/")) for one in config.registries):
        allowed = ", ".join(config.registries)
        raise Unstartable(f"The image {image} comes from elsewhere than the cluster allows. Allowed: {allowed}.")
    if config.digest_only and match["digest"] is None:
        raise Unstartable(f"The image {image} is not named by digest, as the cluster demands. Add @sha256:...")
    return image


def in_full(image: str) -> str:
    """With the registry that is meant where none is written."""
    first, slash, rest = image.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return f"docker.io/{rest}" if first == "index.docker.io" else image
    return f"docker.io/{image}" if slash else f"docker.io/library/{image}"
