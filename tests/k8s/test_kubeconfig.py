"""Kubeconfigs that administrators give: reduced to one context, and refused with all that is wrong."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.clusters import ClusterConfig
from domain.errors import Invalid, TooLarge
from k8s.kubeconfig import ends_ms, read

NOW = datetime(2026, 9, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SECRET = "s3cr3t-t0ken-that-nobody-may-see"
FLATTEN = "kubectl config view --flatten --minify"


def pair(begins: datetime = NOW - timedelta(days=1), ends: datetime = NOW + timedelta(days=30)) -> tuple[str, str]:
    """A certificate and its key, as a kubeconfig has them."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "baray")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    return b64(certificate.public_bytes(serialization.Encoding.PEM)), b64(pem(key))


def pem(key: Any, password: bytes | None = None) -> bytes:
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def jwt(**claims: Any) -> str:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{part}.{SECRET}"


CA = pair()[0]


def kubeconfig(user: Any = None, cluster: Any = None, **more: Any) -> str:
    document = {
        "current-context": "gpu",
        "clusters": [{"name": "c", "cluster": cluster or {"server": "https://k.example:6443", "certificate-authority-data": CA}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": "gpu", "context": {"cluster": "c", "user": "u", "namespace": "x"}}],
        **more,
    }  # fmt: skip
    return json.dumps(document)


def refused(text: str, context: str | None = None, config: ClusterConfig | None = None) -> dict[str | None, str]:
    """The faults, by field. None of them holds the secret."""
    with pytest.raises(Invalid) as caught:
        read(text, context, config or ClusterConfig(), NOW_MS)
    assert SECRET not in f"{caught.value.faults}{caught.value}"
    return {fault.field: f"{fault.message}; {fault.fix}" for fault in caught.value.faults}


def test_a_good_one_is_reduced_to_one_context() -> None:
    other = {"name": "other", "user": {"token": "another"}}
    document = json.loads(kubeconfig())
    document["users"].append(other)
    document["preferences"] = {"colors": True}
    access = json.loads(read(json.dumps(document), None, ClusterConfig(), NOW_MS))
    assert [one["user"] for one in access["users"]] == [{"token": SECRET}]
    assert access["clusters"][0]["cluster"] == {"server": "https://k.example:6443", "certificate-authority-data": CA}
    assert access["contexts"][0]["name"] == access["current-context"] == "gpu"


def test_it_is_read_as_yaml_too() -> None:
    text = f"""
apiVersion: v1
kind: Config
current-context: gpu
clusters: [{{name: c, cluster: {{server: "https://k.example:6443", certificate-authority-data: {CA}}}}}]
users:
- name: u
  user:
    token: {SECRET}
contexts:
- name: gpu
  context: {{cluster: c, user: u}}
"""
    assert read(text, "gpu", ClusterConfig(), NOW_MS) == read(kubeconfig(), None, ClusterConfig(), NOW_MS)


def test_a_context_that_is_not_there_names_those_that_are() -> None:
    assert "choose one of: gpu" in refused(kubeconfig(), "cpu")["context"]
    without = json.loads(kubeconfig())
    del without["current-context"]
    assert "choose one of: gpu" in refused(json.dumps(without))["context"]


def test_a_context_without_its_user_is_refused() -> None:
    assert "'u'" in refused(kubeconfig(users=[]))["kubeconfig.users"]


@pytest.mark.parametrize("field", ["client-certificate", "client-key", "tokenFile"])
def test_files_are_never_read(field: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(SECRET)
    for path in (str(tmp_path / "file"), "relative/file"):
        faults = refused(kubeconfig({field: path, "token": SECRET}))
        assert FLATTEN in faults[f"kubeconfig.user.{field}"]


def test_a_file_of_authorities_is_refused() -> None:
    faults = refused(kubeconfig(cluster={"server": "https://k:6443", "certificate-authority": "/etc/passwd"}))
    assert FLATTEN in faults["kubeconfig.cluster.certificate-authority"]


def test_plugins_are_refused_unless_allowed() -> None:
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "aws", "args": ["eks"], "installHint": "x"}
    assert "--allow-exec-plugin" in refused(kubeconfig({"exec": plugin}))["kubeconfig.user.exec"]
    allowed = ClusterConfig(exec_plugin=True)
    access = json.loads(read(kubeconfig({"exec": plugin}), None, allowed, NOW_MS))
    assert access["users"][0]["user"]["exec"]["args"] == ["eks"]
    bad = {"apiVersion": "v9", "command": "./evil", "interactiveMode": "Always"}
    assert set(refused(kubeconfig({"exec": bad}), config=allowed)) == {
        "kubeconfig.user.exec.command", "kubeconfig.user.exec.apiVersion", "kubeconfig.user.exec.interactiveMode"
    }  # fmt: skip


def test_auth_providers_are_refused_even_where_plugins_are_allowed() -> None:
    provider = kubeconfig({"auth-provider": {"name": "oidc", "config": {"refresh-token": SECRET}}})
    assert "kubeconfig.user.auth-provider" in refused(provider, config=ClusterConfig(exec_plugin=True))


def test_a_client_certificate_is_kept() -> None:
    certificate, key = pair()
    user = {"client-certificate-data": certificate, "client-key-data": key}
    access = read(kubeconfig(user), None, ClusterConfig(), NOW_MS)
    assert json.loads(access)["users"][0]["user"] == user
    assert ends_ms(access) == int((NOW + timedelta(days=30)).timestamp() * 1000)


def test_a_certificate_out_of_its_time_is_refused_with_the_date() -> None:
    field = "kubeconfig.user.client-certificate-data"
    old, key = pair(NOW - timedelta(days=40), NOW - timedelta(days=10))
    assert "ended on 2026-08-22" in refused(kubeconfig({"client-certificate-data": old, "client-key-data": key}))[field]
    new, key = pair(NOW + timedelta(days=2), NOW + timedelta(days=10))
    assert "begins only on 2026-09-03" in refused(kubeconfig({"client-certificate-data": new, "client-key-data": key}))[field]  # fmt: skip


def test_keys_must_be_readable_and_fit() -> None:
    certificate, _ = pair()
    _, other = pair()
    locked = b64(pem(ec.generate_private_key(ec.SECP256R1()), b"hush"))
    field = "kubeconfig.user.client-key-data"
    for key, said in (
        (other, "another certificate's"),
        (locked, "encrypted"),
        (b64(b"none"), "no key"),
        ("", "missing"),
    ):
        assert said in refused(kubeconfig({"client-certificate-data": certificate, "client-key-data": key}))[field]


def test_a_token_that_says_it_ended_is_refused() -> None:
    now = NOW_MS // 1000
    assert "ended on 2026-08-31" in refused(kubeconfig({"token": jwt(exp=now - 3600)}))["kubeconfig.user.token"]
    access = read(kubeconfig({"token": jwt(exp=now + 3600)}), None, ClusterConfig(), NOW_MS)
    assert ends_ms(access) == NOW_MS + 3_600_000
    for odd in (jwt(exp="soon"), jwt(exp=10**400), "a.b.c", jwt(sub="x")):
        assert ends_ms(read(kubeconfig({"token": odd}), None, ClusterConfig(), NOW_MS)) is None


def test_a_token_with_line_breaks_is_refused() -> None:
    assert "kubeconfig.user.token" in refused(kubeconfig({"token": f"{SECRET}\r\nX-Evil: 1"}))


@pytest.mark.parametrize(
    "server",
    ["http://k.example:6443", "http://10.0.0.1", "https://", "", "file:///etc/passwd", "https://u:p@k", "https://k:99999", "https://k/?x=1", "https://k\n"],
)  # fmt: skip
def test_only_servers_with_tls_are_taken(server: str) -> None:
    assert "kubeconfig.cluster.server" in refused(kubeconfig(cluster={"server": server}))


@pytest.mark.parametrize("server", ["http://127.0.0.1:8001", "http://localhost:8001", "http://[::1]:8001"])
def test_loopback_needs_no_tls(server: str) -> None:
    assert json.loads(read(kubeconfig(cluster={"server": server}), None, ClusterConfig(), NOW_MS))


def test_all_faults_come_at_once() -> None:
    cluster = {
        "server": "http://k.example", "insecure-skip-tls-verify": True, "proxy-url": "socks5://x",
        "certificate-authority-data": b64(b"nothing"),
    }  # fmt: skip
    user = {"username": "admin", "password": SECRET, "as": "root", "tokenFile": "/x"}
    assert set(refused(kubeconfig(user, cluster))) == {
        "kubeconfig.cluster.server", "kubeconfig.cluster.insecure-skip-tls-verify", "kubeconfig.cluster.proxy-url",
        "kubeconfig.cluster.certificate-authority-data", "kubeconfig.user.username", "kubeconfig.user.as",
        "kubeconfig.user.tokenFile",
    }  # fmt: skip


def test_a_user_without_a_login_is_refused() -> None:
    assert "kubeconfig.user" in refused(kubeconfig({}))


@pytest.mark.parametrize(
    "text",
    ["", "hello", "- a", "{", "a: [", "\x00", f"token: {SECRET}\ntoken: {SECRET}2", f"a: {SECRET}\n\tb: c", "[" * 5000, "- " * 5000, "&a [*a]"],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_without_being_quoted(text: str) -> None:
    assert "kubeconfig" in refused(text)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 {k: v}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60)]
    assert "aliases" in refused("\n".join(lines))["kubeconfig"]


def test_too_long_a_text_is_refused() -> None:
    with pytest.raises(TooLarge):
        read("x" * (256 * 1024 + 1), None, ClusterConfig(), NOW_MS)


def test_in_a_cluster_the_service_account_is_used_if_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="service account"):
        read('{"inCluster": true}', None, ClusterConfig(), NOW_MS, tmp_path)
    for name in ("token", "ca.crt"):
        (tmp_path / name).write_text("x")
    access = read("inCluster: true", None, ClusterConfig(), NOW_MS, tmp_path)
    assert json.loads(access) == {"inCluster": True}
    assert ends_ms(access) is None
