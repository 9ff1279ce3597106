"""Looks at a cluster before it is added (gateway → here): what it is, what we may do there, what it has to give.

Whatever goes wrong becomes a sentence. Nothing is written to the cluster.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TypeVar

from domain.clusters import ClusterConfig, Examination
from k8s.client import Client
from k8s.errors import ClusterError, Denied, Missing, TooMany, Unreachable
from k8s.manifests.rooms import unreached
from k8s.nodes import read_nodes
from k8s.permissions import Need, needed, review

OLDEST, NEWEST = (1, 33), (1, 37)
_KUEUE, _JOBSET = "kueue.x-k8s.io", "jobset.x-k8s.io"
_WANTED = {_KUEUE: "v1beta2", _JOBSET: "v1alpha2"}
_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,4})(?:[.+-].{0,80})?", re.DOTALL)
_SKEW_MS = 5_000  # of clocks, from which on it is said
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

Found = TypeVar("Found")


def examine(client: Client, config: ClusterConfig, origin: str, now_ms: int) -> Examination:
    """All that can be seen at once. ``origin`` tells our own pods from those of others."""
    try:
        answer = client.call("GET", "/version")
    except ClusterError as error:
        return Examination(problems=(said(error),))
    version = str(answer.json().get("gitVersion") or "")[:80]
    found = Examination(version=version, skew_ms=_skew_ms(answer.headers.get("date", ""), now_ms))
    problems: list[str] = []
    notes = _clock_words(found.skew_ms)
    _judge_version(version, problems, notes)
    served = {group: _served(client, group, notes) for group in _WANTED}
    missing = _try(
        problems, lambda: tuple(_missing(client, needed(config, [group for group, it in served.items() if it])))
    )
    if missing:
        problems.append(
            f"The login may not do {len(missing)} of the things that are needed: {', '.join(missing[:3])}"
            f"{' …' if len(missing) > 3 else ''}. Give it the ClusterRole of the documentation."
        )
    uid = _try(problems, lambda: _uid(client)) or ""
    found = _with_nodes(client, config, origin, found, problems)
    if config.kueue and served[_KUEUE] is None:
        notes.append("Kueue is not installed: the cluster itself guards only projects, not tenants.")
    if served[_JOBSET] is None:
        notes.append("JobSet is not installed: jobs with roles do not go there.")
    notes.append("Network policies hold only if the cluster's network enforces them, which the cluster does not tell.")
    if hint := unreached(config):
        notes.append(hint)
    return replace(
        found, uid=uid, problems=tuple(dict.fromkeys(problems)), missing=missing or (), kueue=served[_KUEUE],
        jobset=served[_JOBSET], notes=(*notes, *found.inventory.notes),
    )  # fmt: skip


def said(error: ClusterError) -> str:
    """What went wrong, for a person who gave a kubeconfig."""
    text = error.message
    if error.code == 401:
        return "The cluster does not accept the login: its token or certificate was revoked, or has ended."
    if isinstance(error, Denied):
        return f"The cluster does not allow it: {text}"
    if isinstance(error, TooMany):
        return "The cluster is too busy to be looked at. Try again."
    upper = text.upper()
    if "MISMATCH" in upper or "DOESN'T MATCH" in upper or "NOT VALID FOR" in upper:
        return f"The server's certificate is for another name ({text}). Set tls-server-name, or use the name that it is for."
    if "EOF" not in upper and ("CERTIFICATE" in upper or "SSL" in upper or "TLS" in upper):  # not one that was cut
        return f"The connection is not trusted ({text}). Is the certificate authority the cluster's own?"
    if isinstance(error, Unreachable):
        return f"The cluster cannot be reached: {text}"
    return f"The cluster answered something unexpected: {text}"


def _try(problems: list[str], look: Callable[[], Found]) -> Found | None:
    try:
        return look()
    except ClusterError as error:
        problems.append(said(error))
        return None


def _with_nodes(
    client: Client, config: ClusterConfig, origin: str, found: Examination, problems: list[str]
) -> Examination:
    nodes = _try(problems, lambda: client.list("/api/v1/nodes").items)
    pods = _try(problems, lambda: client.list("/api/v1/pods").items)
    if nodes is None or pods is None:
        return found
    fleet = read_nodes(nodes, pods, config, origin)
    return replace(found, flavors=fleet.found, inventory=fleet.inventory)


def _judge_version(version: str, problems: list[str], notes: list[str]) -> None:
    match = _VERSION.fullmatch(version)
    if match is None:
        problems.append(f"The server says that it is of version {version!r}, and so is no Kubernetes.")
        return
    number = int(match[1]), int(match[2])
    called, oldest, newest = (".".join(map(str, one)) for one in (number, OLDEST, NEWEST))
    if number < OLDEST:
        problems.append(f"Kubernetes {called} is too old: jobs run on {oldest} to {newest}.")
    elif number > NEWEST:
        notes.append(f"Kubernetes {called} is newer than {newest}, up to which the centre was tried.")


def _clock_words(skew_ms: int | None) -> list[str]:
    if skew_ms is None or abs(skew_ms) <= _SKEW_MS:
        return []
    way = "ahead of" if skew_ms > 0 else "behind"
    return [
        f"The cluster's clock is {abs(skew_ms) / 1000:.0f} s {way} the centre's: set both by the same source of time."
    ]


def _skew_ms(date: str, now_ms: int) -> int | None:
    """How far the cluster's clock is ahead, as far as whole seconds tell."""
    try:
        ms = round(parsedate_to_datetime(date).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError):
        return None
    return min(ms + 999, max(ms, now_ms)) - now_ms


def _served(client: Client, group: str, notes: list[str]) -> str | None:
    """The version of a group that is served: the one that we write, if it is among them."""
    try:
        there = client.get(f"/apis/{group}")
    except ClusterError:
        return None
    versions = [str(one.get("version")) for one in (there or {}).get("versions") or []]
    if not versions:
        return None
    if _WANTED[group] not in versions:
        notes.append(f"{group} is served as {', '.join(versions)} and not as {_WANTED[group]}: it is not used.")
        return versions[0]
    return _WANTED[group]


def _missing(client: Client, needs: Iterable[Need]) -> Iterable[str]:
    all_of_it = Need("*", "*", ("*",))
    if _may(client, all_of_it, "*"):
        return
    for need in needs:
        if not _may(client, need, "*"):
            yield from (need.said(verb) for verb in need.verbs if not _may(client, need, verb))


def _may(client: Client, need: Need, verb: str) -> bool:
    return bool(client.create(_REVIEWS, review(need, verb)).get("status", {}).get("allowed"))


def _uid(client: Client) -> str:
    system = client.get("/api/v1/namespaces/kube-system")
    if system is None:
        raise Missing("it has no namespace kube-system", 404)
    return str(system["metadata"].get("uid", ""))
