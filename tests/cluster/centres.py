"""The whole centre in this process, as ``baray up`` builds it: API, controller, drivers; and its command line beside it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from runtime.settings import Settings
from runtime.wiring import Centre, build
from tests.cluster.rig.calls import Object
from tests.cluster.waiting import until
from tests.support.serving import Api, Served

_ROOT = Path(__file__).parents[2]
_FINAL = {"succeeded", "failed", "cancelled", "timed_out"}


class Up:
    """A centre with two tenants and their projects, and no cluster yet that has GPUs. ``restart`` is another process' start."""

    def __init__(self, root: Path, served: Served) -> None:
        self._root, self._served = root, served
        self._settings = Settings(data_dir=root / "centre", local_nodes="n1:cpus=4,memory=8Gi", beat_ms=200)
        self.centre = self._start()
        token = self.centre.first_token
        assert token is not None
        self.admin = Api(served.address, token)
        self._found()

    def _start(self) -> Centre:
        centre = build(self._settings)
        self._served.switch.app = centre.app
        self._thread = threading.Thread(target=centre.controller.run, name="controller", daemon=True)
        self._thread.start()
        return centre

    def restart(self) -> None:
        self.close()
        self.centre = self._start()

    def close(self) -> None:
        self.centre.controller.stop()
        self._thread.join(20)
        self.centre.close()

    def _found(self) -> None:
        now_ms = time.time_ns() // 1_000_000
        span = {"starts_ms": now_ms - 1_000, "ends_ms": now_ms + 10**9}
        self.ask("POST", "/funders", {"name": "moef", "title": "A ministry"})
        self.ask("POST", "/grants", {"name": "g", "funder": "moef", "su": "100000", **span})
        for tenant, project in (("cadt", "speech"), ("itc", "flood")):
            self.ask("POST", "/tenants", {"name": tenant, "title": tenant, "kind": "university"})
            self.ask("POST", "/projects", {"name": project, "title": project, "tenant": tenant})
            sources = [{"grant": "g", "su": "40000"}]
            self.ask("POST", "/allocations", {"project": project, "sources": sources, "reason": "a test", **span})

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        answer = self.admin.call(method, path, body, query=query)
        assert answer.status < 300, (answer.status, answer.body)
        return answer.json if answer.body else None

    def baray(self, *words: str, check: bool = True, text: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, as the administrator has it."""
        done = subprocess.run(
            [sys.executable, "-m", "cli", *words], cwd=_ROOT, capture_output=True, text=True, timeout=60, check=False,
            input=text,
            env={
                "PATH": os.environ.get("PATH", os.defpath), "HOME": str(self._root), "BARAY_ADDRESS": self.admin.address,
                "BARAY_TOKEN": str(self.admin.token), "TZ": "UTC",
            },
        )  # fmt: skip
        assert not check or done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done

    def add_cluster(self, name: str, kubeconfig: Object, *options: str) -> None:
        """By the command line; every new flavor gets a rate."""
        file = self._root / f"{name}.kubeconfig"
        file.write_text(json.dumps(kubeconfig))
        self.baray("admin", "cluster", "add", name, "--kubeconfig", str(file), *options)
        for flavor in self.ask("GET", "/flavors")["items"]:
            if flavor["rate_su_per_hour"] is None:
                self.baray("admin", "rate", "add", flavor["name"], "1")

    # Jobs

    def submit(self, project: str = "speech", *, env: dict[str, str] | None = None, gpus: int = 1, **more: Any) -> int:
        resources = {"gpus": gpus, "flavor": more.pop("flavor", "h100-80gb"), "walltime": more.pop("walltime", "10m")}
        resources |= {"nodes": more.pop("nodes", 1)}
        job = {
            "project": project, "name": "train", "run": "train", "image": "registry.example/train:1",
            "resources": resources, "env": env or {}, **more,
        }  # fmt: skip
        made: int = self.ask("POST", "/jobs", job)["id"]
        return made

    def job(self, job_id: int) -> Object:
        found: Object = self.ask("GET", f"/jobs/{job_id}")
        return found

    def wait(self, jobs: Sequence[int], state: str, seconds: float = 60.0) -> list[Object]:
        """Until all are in the state."""

        def look() -> list[Object] | None:
            found = [self.job(job) for job in jobs]
            wrong = [one for one in found if one["state"] in _FINAL - {state}]
            assert not wrong, wrong
            return found if all(one["state"] == state for one in found) else None

        return until(look, seconds)

    def attempts(self, job_id: int) -> list[Object]:
        found: list[Object] = self.ask("GET", f"/jobs/{job_id}/attempts")["items"]
        return found

    def soon(self, look: Callable[[], Any], seconds: float = 30.0) -> Any:
        return until(look, seconds)
