"""One cluster: etcd, the API server, controllers, scheduler and kwok, with Kueue and JobSet where they are asked for."""

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import urllib3
import yaml

from tests.cluster.rig import fleet, guards, kubelets
from tests.cluster.rig.calls import Answered, Calls
from tests.cluster.rig.certificates import Authority
from tests.cluster.rig.ears import Ears
from tests.cluster.rig.fleet import Fake
from tests.cluster.rig.processes import NotUp, Program, free_port, until

ADMIN, BARAY, RESTRICTED, TENANT = "admin", "baray", "restricted", "tenant"
_CONTROLLER, _SCHEDULER, _KUEUE, _JOBSET = "controller-manager", "scheduler", "kueue", "jobset"
_USERS = {
    ADMIN: ("rig:admin", "system:masters"),
    BARAY: ("rig:baray", ""),  # whom the centre logs in as
    RESTRICTED: ("rig:restricted", ""),
    TENANT: ("rig:tenant", ""),
    _CONTROLLER: ("system:kube-controller-manager", ""),
    _SCHEDULER: ("system:kube-scheduler", ""),
    # As they are called where they run in pods.
    _KUEUE: ("system:serviceaccount:kueue-system:kueue-controller-manager", "system:masters"),
    _JOBSET: ("system:serviceaccount:jobset-system:jobset-controller-manager", "system:masters"),
}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_UP_S = 120.0
_UNUSED = (  # controllers of what no test uses
    "bootstrap-signer-controller", "certificatesigningrequest-approving-controller", "cloud-node-lifecycle-controller",
    "certificatesigningrequest-cleaner-controller", "certificatesigningrequest-signing-controller", "cronjob-controller",
    "daemonset-controller", "deployment-controller", "horizontal-pod-autoscaler-controller", "node-ipam-controller",
    "persistentvolume-attach-detach-controller", "replicationcontroller-controller", "statefulset-controller",
    "token-cleaner-controller",
)  # fmt: skip


class Cluster:
    """A running cluster, until the ``with`` ends or whoever started it dies.

    ``parts`` are its programs by name: any may be stopped, killed, frozen and started again.
    """

    def __init__(self, name: str = "one", *, nodes: Sequence[Fake] | None = None, guarded: bool = True) -> None:
        self.name, self.guarded = name, guarded
        self.nodes = list(fleet.usual() if nodes is None else nodes)
        self.parts: dict[str, Program] = {}
        self.seconds_to_ready = 0.0
        self.root = Path(tempfile.mkdtemp(prefix=f"baray-cluster-{name}-"))
        self._ears: Ears | None = None
        self._tokens = {user: f"{user}-{self.root.name[-8:]}" for user in _USERS}
        self._ports = {name: free_port() for name in ("etcd", "peers", "api", "kwok", "kueue", "jobset", "kueue-ok", "jobset-ok")}  # fmt: skip
        self._authority = Authority(self.root)
        self.url = f"https://127.0.0.1:{self._ports['api']}"
        self.admin = self.calls(ADMIN)

    def __enter__(self) -> Self:
        began = time.monotonic()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        self.seconds_to_ready = time.monotonic() - began
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        for part in reversed(self.parts.values()):
            part.kill()
        if self._ears is not None:
            self._ears.__exit__(None, None, None)
        shutil.rmtree(self.root, ignore_errors=True)

    # What may happen to it.

    @property
    def port(self) -> int:
        """Where the API server listens."""
        return self._ports["api"]

    @property
    def api(self) -> Program:
        return self.parts["kube-apiserver"]

    def start_api(self) -> None:
        """After ``api.kill()``: at its old address, and ready when this returns."""
        self.api.start()
        self._until(lambda: self.admin.get("/readyz") == b"ok", "the API server answers")

    # Who may reach it, and how.

    def bind(self, user: str, role: str) -> None:
        """Give a user a ClusterRole."""
        group = "rbac.authorization.k8s.io"
        self.admin.create(f"{_RBAC}/clusterrolebindings", {
            "metadata": {"name": f"rig-{user}-{role}"},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
            "subjects": [{"apiGroup": group, "kind": "User", "name": _USERS[user][0]}],
        })  # fmt: skip

    def calls(self, user: str) -> Calls:
        return Calls(self.url, self._authority.bundle.decode(), self._tokens[user])

    def kubeconfig(self, user: str = ADMIN, **changes: Any) -> dict[str, Any]:
        """A kubeconfig with everything inline. ``changes`` replace what it says of the user."""
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(self._authority.bundle).decode()}
        context = {"cluster": self.name, "user": user, "namespace": "default"}
        return {
            "apiVersion": "v1", "kind": "Config", "current-context": self.name, "preferences": {},
            "clusters": [{"name": self.name, "cluster": cluster}],
            "contexts": [{"name": self.name, "context": context}],
            "users": [{"name": user, "user": changes or {"token": self._tokens[user]}}],
        }  # fmt: skip

    def kubeconfig_file(self, user: str = ADMIN) -> Path:
        return self._kubeconfig_file(f"{user}.kubeconfig", self.kubeconfig(user))

    def certificate_login(self, user: str, group: str = "", *, expired: bool = False) -> dict[str, Any]:
        """A kubeconfig that logs in with a client certificate instead of a token."""
        name = f"login-{user}-{'old' if expired else 'new'}"
        self._authority.client(name, user, group, expired=expired)
        pair = {"client-certificate-data": f"{name}.crt", "client-key-data": f"{name}.key"}
        return self.kubeconfig(
            ADMIN, **{key: base64.b64encode((self.root / file).read_bytes()).decode() for key, file in pair.items()}
        )

    def _kubeconfig_file(self, name: str, content: Mapping[str, Any]) -> Path:
        path = self.root / name
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(dict(content)))
        return path

    # Coming up.

    def _start(self) -> None:
        self._certificates()
        self._start_etcd_and_api()
        self._start_controllers()
        for node in self.nodes:
            fleet.add(self.admin, node)
        self.bind(RESTRICTED, "view")
        if self.guarded:
            self._start_guards()
        self._until(lambda: fleet.ready(self.admin), "nodes ready")
        self._until(lambda: self.admin.find("/api/v1/namespaces/default/serviceaccounts/default"), "service accounts")
        if self.guarded:
            self._hook_guards()

    def _certificates(self) -> None:
        for name in ("etcd", "api", "kwok"):
            self._authority.server(name)
        for name in ("kueue", "jobset"):
            folder = self.root / f"{name}-certs"
            folder.mkdir()
            self._authority.server(name)
            (self.root / f"{name}.crt").rename(folder / "tls.crt")
            (self.root / f"{name}.key").rename(folder / "tls.key")
        self._authority.signing_key("accounts")
        lines = [f'{self._tokens[user]},{name},{user},"{group}"' for user, (name, group) in _USERS.items()]
        tokens = self.root / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text("\n".join(lines) + "\n")

    def _run(self, name: str, *arguments: str, **environment: str) -> None:
        self.parts[name] = Program(name, arguments, self.root / f"{name}.log", environment)
        self.parts[name].start()

    def _until(self, look: Any, what: str) -> Any:
        def calm() -> Any:
            try:
                return look()
            except (Answered, urllib3.exceptions.HTTPError):
                return None

        return until(calm, _UP_S, f"{self.name}: {what}", list(self.parts.values()))

    def _start_etcd_and_api(self) -> None:
        etcd, peers, root = self._ports["etcd"], self._ports["peers"], self.root
        own = ("--cert-file", f"{root}/etcd.crt", "--key-file", f"{root}/etcd.key", "--client-cert-auth",
               "--trusted-ca-file", f"{root}/ca.crt")  # fmt: skip
        self._run(
            "etcd", "--data-dir", f"{root}/etcd", "--unsafe-no-fsync", "--log-level", "warn", *own,
            "--listen-client-urls", f"https://127.0.0.1:{etcd}", "--advertise-client-urls", f"https://127.0.0.1:{etcd}",
            "--listen-peer-urls", f"http://127.0.0.1:{peers}", "--initial-advertise-peer-urls",
            f"http://127.0.0.1:{peers}", "--initial-cluster", f"default=http://127.0.0.1:{peers}",
        )  # fmt: skip
        self._run(
            "kube-apiserver", "--etcd-servers", f"https://127.0.0.1:{etcd}", "--etcd-cafile", f"{root}/ca.crt",
            "--etcd-certfile", f"{root}/etcd.crt", "--etcd-keyfile", f"{root}/etcd.key",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
            f"--secure-port={self._ports['api']}", f"--tls-cert-file={root}/api.crt",
            f"--tls-private-key-file={root}/api.key", f"--client-ca-file={root}/ca.crt",
            "--authorization-mode=RBAC", f"--token-auth-file={root}/tokens.csv",
            "--service-account-issuer=https://baray-tests", f"--service-account-key-file={root}/accounts.pub",
            f"--service-account-signing-key-file={root}/accounts.key", "--service-cluster-ip-range=10.0.0.0/24",
            "--kubelet-preferred-address-types=InternalIP", "--default-not-ready-toleration-seconds=3",
            "--default-unreachable-toleration-seconds=3", "--allow-privileged=true",
        )  # fmt: skip
        self._until(lambda: self.admin.get("/readyz") == b"ok", "the API server answers")

    def _start_controllers(self) -> None:
        root = self.root
        files = {user: self._kubeconfig_file(f"{user}.kubeconfig", self.kubeconfig(user)) for user in _USERS}
        self._run(
            "kube-controller-manager", f"--kubeconfig={files[_CONTROLLER]}", "--leader-elect=false", "--secure-port=0",
            "--use-service-account-credentials", f"--root-ca-file={root}/ca.crt",
            f"--service-account-private-key-file={root}/accounts.key", "--kube-api-qps=500", "--kube-api-burst=1000",
            "--concurrent-job-syncs=20", "--concurrent-gc-syncs=20", "--concurrent-namespace-syncs=5",
            "--namespace-sync-period=5s",
            "--controllers=" + ",".join(("*", *(f"-{name}" for name in _UNUSED))),
        )  # fmt: skip
        scheduler = root / "scheduler.yaml"
        scheduler.write_text(json.dumps({
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration",
            "clientConnection": {"kubeconfig": str(files[_SCHEDULER]), "qps": 500, "burst": 1000},
            "leaderElection": {"leaderElect": False}, "podInitialBackoffSeconds": 1, "podMaxBackoffSeconds": 2,
        }))  # fmt: skip
        self._run("kube-scheduler", f"--config={scheduler}", "--secure-port=0")
        guards.define(self.admin, "kwok-crds")
        stages = root / "kwok.yaml"
        stages.write_text(kubelets.configuration())
        self._ears = Ears(self.admin, root / "kwok.crt", root / "kwok.key", self._ports["kwok"]).__enter__()
        self._run(
            "kwok", f"--kubeconfig={files[ADMIN]}", f"--config={stages}", "--node-ip=127.0.0.1",
            f"--manage-nodes-with-annotation-selector={kubelets.SELECTOR}",
            f"--server-address=127.0.0.1:{self._ports['kwok']}", f"--node-port={self._ears.port}",
            f"--tls-cert-file={root}/kwok.crt", f"--tls-private-key-file={root}/kwok.key",
            "--enable-crds=Exec,PortForward",
        )  # fmt: skip

    def _start_guards(self) -> None:
        made = guards.define(self.admin, "kueue-crds", (self._address("kueue"), self._authority.bundle))
        made += guards.define(self.admin, "jobset-crds")
        for name in ("kueue-system", "jobset-system"):
            self.admin.create("/api/v1/namespaces", {"metadata": {"name": name}})
        self._until(lambda: guards.established(self.admin, made), "definitions of Kueue and JobSet")
        kueue = guards.kueue_configuration(self.root, self._ports["kueue"], self._ports["kueue-ok"])
        jobset = guards.jobset_configuration(self.root, self._ports["jobset"], self._ports["jobset-ok"])
        certificates = str(self.root / "kueue-certs")
        logins = {name: str(self.root / f"{name}.kubeconfig") for name in (_KUEUE, _JOBSET)}
        self._run(
            "kueue", f"--config={kueue}", "--zap-log-level=error", KUEUE_METRICS_CERTS=certificates,
            KUBECONFIG=logins[_KUEUE],
        )  # fmt: skip
        self._run("jobset", f"--config={jobset}", "--zap-log-level=error", KUBECONFIG=logins[_JOBSET])

    def _hook_guards(self) -> None:
        pool = urllib3.PoolManager(retries=False, timeout=2)
        for name, kinds in (("kueue", guards.KUEUE_HOOKS), ("jobset", guards.JOBSET_HOOKS)):
            probe = f"http://127.0.0.1:{self._ports[name + '-ok']}/readyz"
            self._until(lambda probe=probe: pool.request("GET", probe).status == 200, f"{name} is ready")
            guards.hook(self.admin, f"{name}-webhooks", name, self._address(name), self._authority.bundle, kinds)

    def _address(self, name: str) -> str:
        return f"https://127.0.0.1:{self._ports[name]}"


__all__ = ["ADMIN", "BARAY", "RESTRICTED", "TENANT", "Cluster", "NotUp"]
