"""What a pod finds when it starts: its volumes as directories here, its environment, its command.

There are no containers here, so paths of volumes in commands and in the environment are rewritten to those directories.
"""

import base64
import os
import re
import sys
from pathlib import Path
from typing import Any

from tests.support.kube.controllers.runners import Spawn
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import milli
from tests.support.kube.store import Store
from tests.support.kube.table import CLAIMS, CONFIGMAPS, SECRETS

_VARIABLE = re.compile(r"\$\$|\$\(([A-Za-z0-9_.-]+)\)")
# This very Python first: another may be a script that starts one, and deaf to signals until it has.
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"


class Missing(Exception):
    """Something that the pod needs is not there. ``mount``: of a volume, else of the environment."""

    def __init__(self, message: str, *, mount: bool) -> None:
        super().__init__(message)
        self.mount = mount


class Sandbox:
    """Of one pod. ``root`` None: nothing is laid down, containers are run by heart."""

    def __init__(self, store: Store, pod: Obj, root: Path | None) -> None:
        self._store, self._pod = store, pod
        self._namespace = pod["metadata"]["namespace"]
        self._root = None if root is None else root / pod["metadata"]["uid"]
        self._claims = None if root is None else root / "claims" / self._namespace

    def prepare(self) -> None:
        """Volumes. Raises Missing."""
        for volume in self._pod["spec"].get("volumes") or []:
            files = self._files(volume)
            if self._root is None or self._claims is None:
                continue
            if "persistentVolumeClaim" in volume:
                (self._claims / volume["persistentVolumeClaim"]["claimName"]).mkdir(parents=True, exist_ok=True)
                continue
            place = self._root / "volumes" / volume["name"]
            place.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(data)

    def refresh(self, pod: Obj) -> None:
        """The pod changed: volumes that tell its labels and annotations follow."""
        self._pod = pod
        if self._root is not None and any("downwardAPI" in volume for volume in pod["spec"].get("volumes") or []):
            self.prepare()

    def _files(self, volume: Obj) -> dict[str, bytes]:
        if "secret" in volume:
            source = volume["secret"]
            return self._keyed(SECRETS, source.get("secretName", ""), source, "secret")
        if "configMap" in volume:
            return self._keyed(CONFIGMAPS, volume["configMap"].get("name", ""), volume["configMap"], "configmap")
        if "downwardAPI" in volume:
            return {entry["path"]: self._told(entry).encode() for entry in volume["downwardAPI"].get("items") or []}
        if "projected" in volume:
            found: dict[str, bytes] = {}
            for source in volume["projected"].get("sources") or []:
                if "secret" in source:
                    found |= self._keyed(SECRETS, source["secret"].get("name", ""), source["secret"], "secret")
                elif "configMap" in source:
                    found |= self._keyed(
                        CONFIGMAPS, source["configMap"].get("name", ""), source["configMap"], "configmap"
                    )
                elif "downwardAPI" in source:
                    found |= {
                        entry["path"]: self._told(entry).encode() for entry in source["downwardAPI"].get("items") or []
                    }
            return found
        if "persistentVolumeClaim" in volume:
            name = volume["persistentVolumeClaim"]["claimName"]
            if self._store.get(CLAIMS, (self._namespace, name)) is None:
                raise Missing(f'persistentvolumeclaim "{name}" not found', mount=True)
        return {}

    def _keyed(self, resource: Any, name: str, source: Obj, title: str) -> dict[str, bytes]:
        found = self._store.get(resource, (self._namespace, name))
        if found is None:
            if source.get("optional"):
                return {}
            raise Missing(f'MountVolume.SetUp failed for volume: {title} "{name}" not found', mount=True)
        values = _values(found)
        if source.get("items"):
            return {entry["path"]: values[entry["key"]] for entry in source["items"] if entry["key"] in values}
        return values

    def spawn(self, container: Obj) -> Spawn:
        """What to run. Raises Missing."""
        env = self._environment(container)
        words = [_expanded(word, env) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
        if self._root is None:
            return Spawn(tuple(words), env, Path("/"))
        home = self._root / "containers" / container["name"]
        home.mkdir(parents=True, exist_ok=True)
        mounts = self._mounts(container, home)
        env = {name: _moved(value, mounts) for name, value in env.items()}
        env = {"PATH": PATH, "HOME": str(home), "HOSTNAME": self._hostname(), **env}
        directory = Path(_moved(container.get("workingDir") or "", mounts) or home)
        if not directory.is_dir():
            directory = home
        return Spawn(tuple(_moved(word, mounts) for word in words) or ("true",), env, directory)

    def message(self, container: Obj) -> str:
        """What it left as its termination message."""
        if self._root is None:
            return ""
        file = self._root / "containers" / container["name"] / "termination-log"
        return file.read_text(errors="replace")[:4096] if file.exists() else ""

    def _hostname(self) -> str:
        return str(self._pod["spec"].get("hostname") or self._pod["metadata"]["name"])

    def _mounts(self, container: Obj, home: Path) -> list[tuple[str, str]]:
        assert self._root is not None
        assert self._claims is not None
        places = {}
        for volume in self._pod["spec"].get("volumes") or []:
            claim = volume.get("persistentVolumeClaim")
            places[volume["name"]] = (
                self._claims / claim["claimName"] if claim else self._root / "volumes" / volume["name"]
            )
        found = [(container["terminationMessagePath"], str(home / "termination-log"))]
        for mount in container.get("volumeMounts") or []:
            place = places[mount["name"]] / mount.get("subPath", "")
            if mount.get("subPath") and not place.exists():
                place.mkdir(parents=True)
            found.append((mount["mountPath"].rstrip("/"), str(place).rstrip("/")))
        return sorted(found, key=lambda pair: -len(pair[0]))

    def _environment(self, container: Obj) -> dict[str, str]:
        env: dict[str, str] = {}
        for source in container.get("envFrom") or []:
            for resource, field in ((SECRETS, "secretRef"), (CONFIGMAPS, "configMapRef")):
                if field in source:
                    found = self._named(resource, source[field])
                    env |= {
                        source.get("prefix", "") + k: v.decode(errors="surrogateescape")
                        for k, v in _values(found or {}).items()
                    }
        for entry in container.get("env") or []:
            source = entry.get("valueFrom")
            if source is None:
                env[entry["name"]] = _expanded(entry.get("value", ""), env)
            elif (value := self._value(source, container)) is not None:
                env[entry["name"]] = value
        return env

    def _value(self, source: Obj, container: Obj) -> str | None:
        if "fieldRef" in source or "resourceFieldRef" in source:
            return self._told(source, container)
        for resource, field in ((SECRETS, "secretKeyRef"), (CONFIGMAPS, "configMapKeyRef")):
            if field in source:
                found = self._named(resource, source[field])
                values = _values(found or {})
                key = source[field]["key"]
                if key not in values:
                    if source[field].get("optional"):
                        return None
                    name = f"{self._namespace}/{source[field].get('name', '')}"
                    raise Missing(f"couldn't find key {key} in {resource.kind} {name}", mount=False)
                return values[key].decode(errors="surrogateescape")
        return None

    def _named(self, resource: Any, ref: Obj) -> Obj | None:
        found = self._store.get(resource, (self._namespace, ref.get("name", "")))
        if found is None and not ref.get("optional"):
            raise Missing(f'{resource.kind.lower()} "{ref.get("name", "")}" not found', mount=False)
        return found

    def _told(self, source: Obj, container: Obj | None = None) -> str:
        """The value of a field of the pod, or of a container's resources."""
        if "resourceFieldRef" in source:
            ref = source["resourceFieldRef"]
            group, _, name = ref["resource"].partition(".")
            amount = ((container or {}).get("resources") or {}).get(group, {}).get(name, "0")
            divisor = milli(ref.get("divisor", "1")) or 1000
            return str(-(-milli(amount) // divisor))
        path = source["fieldRef"]["fieldPath"]
        if found := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
            return str((self._pod["metadata"].get(found[1]) or {}).get(found[2], ""))
        if path in ("metadata.labels", "metadata.annotations"):
            entries = (self._pod["metadata"].get(path.partition(".")[2]) or {}).items()
            return "\n".join(f'{key}="{value}"' for key, value in sorted(entries))
        value: Any = self._pod
        for step in path.split("."):
            value = value.get(step, "") if isinstance(value, dict) else ""
        return str(value)


def _values(found: Obj) -> dict[str, bytes]:
    if found.get("kind") == "Secret":
        return {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    values = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    return values | {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}


def _expanded(text: str, env: dict[str, str]) -> str:
    return _VARIABLE.sub(lambda m: "$" if m[0] == "$$" else env.get(m[1], m[0]), text)


def _moved(text: str, mounts: list[tuple[str, str]]) -> str:
    """With each path of a mount, or below one, put where it is here; in one go, since places may look like paths."""
    places = dict(mounts)
    pattern = "|".join(re.escape(path) for path, _ in mounts)
    return re.sub(rf"(?<![\w./-])({pattern})(?![\w.-])", lambda found: places[found[1]], text)
