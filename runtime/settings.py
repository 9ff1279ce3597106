"""Every setting, with its unit, default and reason. Read from ``BARAY_…`` variables; ``baray settings`` prints them."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


def default_data_dir() -> Path:
    """The XDG data directory of whoever starts the centre."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "baray"


class Settings(BaseSettings):
    """Settings of one process."""

    model_config = SettingsConfigDict(env_prefix="BARAY_", extra="ignore")

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="directory that holds the database, keys, sources, logs and outputs of this centre",
    )
    database_url: str = Field(
        "",
        description="SQLAlchemy address of the database, such as postgresql+psycopg://user@host/baray; "
        "empty: SQLite in the data directory, which is right for one machine",
    )
    host: str = Field(
        "127.0.0.1",
        description="address to listen on; loopback unless the service runs as root, because without root all jobs "
        "share the service's user",
    )
    port: int = Field(8470, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one")
    local_nodes: str = Field(
        "",
        description="virtual nodes of the local cluster, such as 'n1:h100-80gb=2,cpus=8,memory=64Gi;n2:…'; "
        "empty: this machine with the GPUs that NVML finds",
    )
    local_uid_base: int = Field(
        200_000,
        ge=1_000,
        description="started as root, the jobs of project number n run as user id base + n; choose a free range",
    )
    audit_key: Path | None = Field(
        None,
        description="file of the Ed25519 key that signs the audit tree (PEM); it is made at the first start; "
        "empty: audit.key in the data directory. Every process that may lead needs the same one",
    )
    audit_name: str = Field(
        "audit.baray.local",
        max_length=200,
        pattern=r"^[!-*,-~]+$",
        description="name of the audit tree, as its signed heads and keys bear it; "
        "best an address of the centre without https://, since nobody else's may be the same. A rotation takes it over",
    )
    log_limit_mib: int = Field(64, ge=1, le=10_240, description="MiB of output kept of each rank of an attempt")
    output_limit_mib: int = Field(256, ge=1, le=102_400, description="MiB of outputs collected of an attempt")
    exec_plugins: bool = Field(
        False,
        description="true lets kubeconfigs that administrators give start a program of this machine to log in, where "
        "they allow it for a cluster too: whoever may add clusters can then run any program as this service",
    )
    beat_ms: int = Field(
        500,
        ge=10,
        le=60_000,
        description="ms between the controller's looks when nothing wakes it: events do, normally",
    )
    lease_ms: int = Field(
        10_000, ge=1_000, le=600_000, description="ms after which a silent leading controller may be replaced"
    )
    xroad_host: str = Field(
        "127.0.0.1", description="address on which other governments' systems are answered (X-Road)"
    )
    xroad_port: int = Field(8471, ge=0, le=65535, description="its TCP port; 0 takes a free one")
    xroad_url: str = Field(
        "",
        max_length=508,  # beside the pattern: 500 repeats within it take 3 MiB of memory
        pattern=r"^(https://[^\s]+)?$",
        description="https address under which the Security Server reaches it, for the OpenAPI document; "
        "empty: made of host and port",
    )
    xroad_cert: Path | None = Field(
        None,
        description="certificate of that listener (PEM); with key and client CA it is on, without any of them off",
    )
    xroad_key: Path | None = Field(None, description="key of that certificate (PEM)")
    xroad_client_ca: Path | None = Field(
        None, description="certificate (or authority) of the Security Server, which alone may connect (PEM)"
    )
    registry_url: str = Field(
        "",
        description="address of a registry of institutions on the Security Server, "
        "https://SERVER/r1/INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE/{number}; empty: none is asked",
    )
    registry_client: str = Field("", description="X-Road client id of this centre, INSTANCE/CLASS/MEMBER/SUBSYSTEM")
    registry_cert: Path | None = Field(None, description="certificate that this centre shows the Security Server (PEM)")
    registry_key: Path | None = Field(None, description="key of that certificate (PEM)")
    registry_ca: Path | None = Field(None, description="certificate (or authority) of the Security Server (PEM)")
    registry_fields: dict[str, str] = Field(
        default_factory=lambda: {name: name for name in ("number", "status", "title", "kind", "sector", "province")},
        description="JSON: where in the registry's answer our fields are, by dotted places",
    )
    registry_kinds: dict[str, str] = Field(
        default_factory=dict, description="JSON: the registry's words for kinds of institutions, and ours"
    )
    registry_in_force: list[str] = Field(
        default_factory=lambda: ["active", "registered"],
        description="JSON: the registry's words for an institution that is registered now",
    )
    registry_timeout_ms: int = Field(
        10_000, ge=100, le=60_000, description="ms that the registry has for an answer: somebody waits for it"
    )
    public_url: str = Field(
        "",
        description="address under which people reach the centre, such as 'https://baray.example'; identity providers send "
        "them back to it. empty: made of host and port, which is right for one machine",
    )
    login_file: Path | None = Field(
        None, description="TOML file of the identity providers that people log in through (docs/login.md); empty: none"
    )
    session_hours: int = Field(
        12, ge=1, le=720, description="hours after which a browser's session ends, however busy: a day's work"
    )
    session_idle_minutes: int = Field(
        120, ge=5, le=43_200, description="minutes without use after which a browser's session ends"
    )
    tls_cert: Path | None = Field(
        None,
        description="certificate, with its chain (PEM), that the service shows: with it and its key it speaks TLS 1.2 or newer",
    )
    tls_key: Path | None = Field(None, description="key of that certificate (PEM), without a password")
    behind_proxy: bool = Field(
        False,
        description="true says that a proxy in front speaks TLS, so that the service may listen beyond loopback without: "
        "else it does not start, for tokens would cross the network in the clear",
    )
    trusted_proxies: str = Field(
        "",
        description="networks of the proxies in front, such as '10.1.0.0/24 fd00::/64': what they say in X-Forwarded-For "
        "and -Proto is believed, of nobody else; empty: nobody",
    )
    access_log: Literal["off", "problems", "all"] = Field(
        "problems",
        description="which requests get a line in the log: all, or those answered with 401, 403, 429 or 5xx; all costs a "
        "busy service a little speed",
    )
    rate_per_token: str = Field(
        "1000/10000",
        description="requests a second that each token may make in the long run, and how many at once; 0: no limit. The "
        "default is about what one process can answer, so that it stops floods and nobody's work",
    )
    rate_per_address: str = Field("2000/20000", description="the same of each address; of IPv6 of each /64")
    rate_failures: str = Field(
        "0.2/30",
        description="the same of tokens and logins that are refused, of each address; it is then held back before anything "
        "is looked up, but for tokens that were good lately",
    )
    cors_origins: str = Field(
        "",
        description="origins whose pages may call the API with a token of theirs, such as 'https://portal.example'; "
        "empty: none",
    )
    builtin_login: bool = Field(
        True,
        description="true lets users log in with passwords that this centre keeps, which is right for one machine; "
        "false: only through an identity provider, and nobody makes a token for another person",
    )
    step_up_minutes: int = Field(
        0,
        ge=0,
        le=1_440,
        description="minutes for which a login is fresh enough for decisions: on allocations, approvals, roles, what takes two, "
        "erasures. After that people log in again first. 0: as long as their token lasts",
    )
    login_days: int = Field(30, ge=1, le=366, description="days for which baray login lasts on a person's machine")
    token_days: int = Field(90, ge=1, le=3_660, description="days for which a token lasts that does not say")
    token_longest_days: int = Field(366, ge=1, le=3_660, description="days for which a token lasts at the most")
    privacy_contact: str = Field(
        "If you think that this is wrong, write to the administrators of the centre; they answer, or pass it on.",
        min_length=1,
        max_length=1_000,
        description="where people turn to about their data, and if an answer is not right: a sentence in every such answer",
    )
    log_level: str = Field("info", description="debug, info, warning or error; logs are JSON lines on stderr")

    @property
    def audit_key_file(self) -> Path:
        return self.audit_key or self.data_dir / "audit.key"

    @property
    def url(self) -> str:
        return self.database_url or f"sqlite:///{self.data_dir / 'baray.db'}"
