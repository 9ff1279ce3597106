"""What kwok plays: the stages of fake nodes and of the pods on them, by environment variables of the pods' containers.

- ``KWOK_START`` seconds until it runs; ``KWOK_SECONDS`` how long it then runs (0.2); ``KWOK_EXIT`` its exit code, and
  ``KWOK_EXIT_3`` that of completion index 3.
- ``KWOK_TERM`` seconds that it takes to end once told to (0.1), as when it writes a checkpoint; ``KWOK_STUBBORN``: it
  ends only when its grace is over, by SIGKILL.
- ``KWOK_OOM``: it ends out of memory. ``KWOK_EVICT``: its node evicts it.
- ``KWOK_PRINT`` and ``KWOK_PRINT_END``: see ``ears``.
- an image with ``no-such-image`` in its name cannot be pulled.

A pod that somebody changes while it runs begins its time anew.
"""

from typing import Any

import yaml

Object = dict[str, Any]

LOST = "tests.baray.io/lost"  # annotation of a node whose kubelet has gone, and of the pods on it
_MANAGED = "kwok.x-k8s.io/node"
SELECTOR = f"{_MANAGED}=fake"


def _env(name: str, default: str | None = None) -> str:
    """A jq expression for the variable of any container."""
    values = f'[.spec.containers[].env[]? | select(.name == "{name}") | .value] | first'
    return f'(({values}) // "{default}")' if default is not None else values


def _seconds(name: str, default: str) -> Object:
    return {"durationFrom": {"expressionFrom": f'{_env(name, default)} + "s"'}}


def _is(key: str, *values: str) -> Object:
    return {"key": key, "operator": "In", "values": list(values)}


def _is_not(key: str, *values: str) -> Object:
    return {"key": key, "operator": "NotIn", "values": list(values)}


def _has(key: str) -> Object:
    return {"key": key, "operator": "Exists"}


def _lacks(key: str) -> Object:
    return {"key": key, "operator": "DoesNotExist"}


def _stage(name: str, kind: str, when: list[Object], delay: Object | None, then: Object) -> Object:
    spec = {"resourceRef": {"apiGroup": "v1", "kind": kind}, "selector": {"matchExpressions": when}, "next": then}
    if delay is not None:
        spec["delay"] = delay
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": name}, "spec": spec}


_UNPULLED = '[.spec.containers[].image | select(test("no-such-image"))] | first'
_DELETED = ".metadata.deletionTimestamp"

_RUNNING = """
{{ $now := Now }}
conditions:
{{ range list "Initialized" "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: {{ . }}}
{{ end }}
{{ if .spec.initContainers }}
initContainerStatuses:
{{ range .spec.initContainers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  {{ if eq (or .restartPolicy "") "Always" }}
  started: true
  state: {running: {startedAt: {{ $now | Quote }}}}
  {{ else }}
  started: false
  state: {terminated: {exitCode: 0, reason: Completed, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
  {{ end }}
{{ end }}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  imageID: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: true
  restartCount: 0
  started: true
  state: {running: {startedAt: {{ $now | Quote }}}}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
startTime: {{ $now | Quote }}
phase: Running
"""

# An image that cannot be pulled: the kubelet tries, then waits longer and longer.
_UNPULLABLE = """
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  restartCount: 0
  started: false
  state:
    waiting:
      reason: ImagePullBackOff
      message: {{ printf "Back-off pulling image %s: not found" .image | Quote }}
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
startTime: {{ Now | Quote }}
phase: Pending
"""

# {code} and {reason} are templates; {also} may add a condition, and what else the status says.
_ENDED = """
{{ $now := Now }}
{{ $root := . }}
{{ $code := {code} }}
{{ $reason := {reason} }}
conditions:
{{ range list "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "False", reason: PodFailed, type: {{ . }}}
{{ end }}
{also}
{{ if .status.initContainerStatuses }}
initContainerStatuses:
{{ range $index, $item := .spec.initContainers }}
{{ $origin := index $root.status.initContainerStatuses $index }}
- image: {{ $item.image | Quote }}
  imageID: {{ $item.image | Quote }}
  name: {{ $item.name | Quote }}
  ready: true
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: 0
      reason: Completed
      {{ if $origin.state.running }}
      startedAt: {{ $origin.state.running.startedAt | Quote }}
      finishedAt: {{ $now | Quote }}
      {{ else }}
      startedAt: {{ $origin.state.terminated.startedAt | Quote }}
      finishedAt: {{ $origin.state.terminated.finishedAt | Quote }}
      {{ end }}
{{ end }}
{{ end }}
containerStatuses:
{{ range $index, $item := .spec.containers }}
- image: {{ $item.image | Quote }}
  imageID: {{ $item.image | Quote }}
  name: {{ $item.name | Quote }}
  ready: false
  restartCount: 0
  started: false
  state:
    terminated:
      exitCode: {{ $code }}
      reason: {{ $reason }}
      {{ with $root.status.containerStatuses }}
      {{ with (index . $index).state.running }}
      startedAt: {{ .startedAt | Quote }}
      {{ else }}
      startedAt: {{ $now | Quote }}
      {{ end }}
      {{ else }}
      startedAt: {{ $now | Quote }}
      {{ end }}
      finishedAt: {{ $now | Quote }}
{{ end }}
phase: {{ if eq (print $code) "0" }}Succeeded{{ else }}Failed{{ end }}
"""

_EVICTED = """
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: DisruptionTarget, reason: TerminationByKubelet,
   message: "The node was low on resource: ephemeral-storage."}
reason: Evicted
message: "The node was low on resource: ephemeral-storage."
"""


def _value(name: str, default: str) -> str:
    """A template for the variable of any container, or the one with the pod's index behind it; it leaves it in ``$value``."""
    own = (
        '(printf "%s_%s" "'
        + name
        + '" (or (index .metadata.annotations "batch.kubernetes.io/job-completion-index") "0"))'
    )
    each = "".join(
        f"{{{{ range .spec.containers }}}}{{{{ range .env }}}}{{{{ if eq .name {called} }}}}"
        "{{ $value = .value }}{{ end }}{{ end }}{{ end }}"
        for called in (f'"{name}"', "$own")
    )
    return f'{{{{ $value := "{default}" }}}}{{{{ $own := "" }}}}{{{{ if .metadata.annotations }}}}{{{{ $own = {own} }}}}{{{{ end }}}}{each}'


def _ended(code: str, reason: str, before: str = "", also: str = "") -> str:
    return before + _ENDED.replace("{code}", code).replace("{reason}", reason).replace("{also}", also)


def _pods() -> list[Object]:
    heard = _lacks(f'.metadata.annotations["{LOST}"]')
    alive = [heard, _lacks(_DELETED)]
    running = [*alive, _is(".status.phase", "Running")]
    told = [heard, _has(_DELETED), _is_not(".metadata.deletionGracePeriodSeconds | tostring", "0")]
    unended = _is_not(".status.phase", "Succeeded", "Failed")
    special = [_env("KWOK_OOM"), _env("KWOK_EVICT")]
    by_exit = _ended("$value", '(ternary "Completed" "Error" (eq $value "0"))', _value("KWOK_EXIT", "0"))
    by_signal = _ended("$value", '(ternary "Completed" "Error" (eq $value "0"))', _value("KWOK_TERM_EXIT", "143"))
    return [
        _stage("pod-start", "Pod", [*alive, _is(".status.phase", "Pending"), _lacks(".status.podIP"), _lacks(_UNPULLED)],
               _seconds("KWOK_START", "0"), {"statusTemplate": _RUNNING}),
        _stage("pod-image", "Pod", [*alive, _is(".status.phase", "Pending"), _has(_UNPULLED),
                                    _lacks(".status.containerStatuses")],
               None, {"statusTemplate": _UNPULLABLE,
                      "event": {"type": "Warning", "reason": "Failed", "message": "Failed to pull image: not found"}}),
        _stage("pod-end", "Pod", [*running, *(_lacks(one) for one in special)],
               _seconds("KWOK_SECONDS", "0.2"), {"statusTemplate": by_exit}),
        _stage("pod-oom", "Pod", [*running, _has(special[0])],
               _seconds("KWOK_SECONDS", "0.2"), {"statusTemplate": _ended("137", '"OOMKilled"')}),
        _stage("pod-evict", "Pod", [*running, _has(special[1])],
               _seconds("KWOK_SECONDS", "0.2"), {"statusTemplate": _ended("137", '"Error"', also=_EVICTED)}),
        _stage("pod-terminate", "Pod", [*told, unended, _lacks(_env("KWOK_STUBBORN"))],
               _seconds("KWOK_TERM", "0.1"), {"statusTemplate": by_signal}),
        _stage("pod-kill", "Pod", [*told, unended, _has(_env("KWOK_STUBBORN"))],
               {"durationFrom": {"expressionFrom": _DELETED}}, {"statusTemplate": _ended("137", '"Error"')}),
        _stage("pod-delete", "Pod", [*told, _is(".status.phase", "Succeeded", "Failed")], None, {"delete": True}),
    ]  # fmt: skip


_READY = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ $now | Quote }}
  lastTransitionTime: {{ $now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
addresses:
- {address: {{ NodeIP | Quote }}, type: InternalIP}
- {address: {{ .metadata.name | Quote }}, type: Hostname}
daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }}}}
phase: Running
"""


def _nodes() -> list[Object]:
    unready = _is_not('.status.conditions.[] | select(.type == "Ready") | .status', "True")
    here = _lacks(f'.metadata.annotations["{LOST}"]')
    return [_stage("node-ready", "Node", [unready, here], None, {"statusTemplate": _READY})]


def configuration() -> str:
    """What kwok reads."""
    options: Object = {
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1", "kind": "KwokConfiguration",
        "options": {
            "podPlayStageParallelism": 8, "nodePlayStageParallelism": 4, "nodeLeaseParallelism": 4,
            "podsOnNodeSyncParallelism": 1, "nodeLeaseDurationSeconds": 40, "enableDebuggingHandlers": True,
            "cidr": "10.0.0.0/24",
        },
    }  # fmt: skip
    return yaml.safe_dump_all([options, *_pods(), *_nodes()], sort_keys=False)
