"""Plain calls to an API server, for the rig and for tests that look at a cluster past the product's own client."""

import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3

Object = dict[str, Any]


class Answered(Exception):
    """The server refused. ``code`` is HTTP's, ``reason`` Kubernetes' word for it."""

    def __init__(self, code: int, body: bytes) -> None:
        self.code = code
        try:
            status = json.loads(body)
        except ValueError:
            status = {}
        self.reason = str(status.get("reason", ""))
        self.message = str(status.get("message", body[:500]))
        super().__init__(f"{code} {self.reason}: {self.message}")


class Calls:
    """``path`` is as in the API's own addresses, such as ``/api/v1/nodes``; ``query`` goes behind it."""

    def __init__(self, url: str, authority: str, token: str) -> None:
        self.url, self._token = url, token
        trust = ssl.create_default_context(cadata=authority)
        self._pool = urllib3.PoolManager(ssl_context=trust, maxsize=16, retries=False, timeout=30)

    @classmethod
    def of(cls, kubeconfig: Mapping[str, Any]) -> "Calls":
        """From a kubeconfig of the rig's own kind: one cluster, inline, one user with a token."""
        import base64

        cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        return cls(cluster["server"], authority, user["token"])

    def raw(self, method: str, path: str, body: bytes | None = None, *, content: str = "application/json", **query: Any) -> urllib3.BaseHTTPResponse:  # fmt: skip
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content, "Accept": "application/json"}
        address = self.url + path + (f"?{urlencode(query)}" if query else "")
        return self._pool.request(method, address, body=body, headers=headers)

    def call(self, method: str, path: str, body: Any = None, *, content: str = "application/json", **query: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        answer = self.raw(method, path, data, content=content, **query)
        if answer.status >= 400:
            raise Answered(answer.status, answer.data)
        return json.loads(answer.data) if "json" in answer.headers.get("Content-Type", "") else answer.data

    def get(self, path: str, **query: Any) -> Any:
        return self.call("GET", path, **query)

    def find(self, path: str) -> Object | None:
        try:
            found: Object = self.get(path)
        except Answered as error:
            if error.code == 404:
                return None
            raise
        return found

    def items(self, path: str, **query: Any) -> list[Object]:
        found: list[Object] = self.get(path, **query)["items"]
        return found

    def create(self, path: str, body: Object, **query: Any) -> Object:
        made: Object = self.call("POST", path, body, **query)
        return made

    def merge(self, path: str, change: Any, **query: Any) -> Object:
        made: Object = self.call("PATCH", path, change, content="application/merge-patch+json", **query)
        return made

    def strategic(self, path: str, change: Any) -> Object:
        made: Object = self.call("PATCH", path, change, content="application/strategic-merge-patch+json")
        return made

    def apply(self, path: str, body: Object) -> Object:
        made: Object = self.call(
            "PATCH", path, body, content="application/apply-patch+yaml", fieldManager="rig", force="true"
        )
        return made

    def delete(self, path: str, body: Any = None, **query: Any) -> Any:
        return self.call("DELETE", path, body, **query)

    def watch(self, path: str, seconds: int, **query: Any) -> Iterator[Object]:
        """Events of a watch until the server ends it; from the beginning without a resourceVersion."""
        headers = {"Authorization": f"Bearer {self._token}"}
        asked = urlencode({"watch": "true", "timeoutSeconds": seconds, **query})
        answer = self._pool.request(
            "GET", f"{self.url}{path}?{asked}", headers=headers, preload_content=False, timeout=seconds + 10
        )
        try:
            if answer.status >= 400:
                raise Answered(answer.status, answer.data)
            rest = b""
            for chunk in answer.stream(1 << 16):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (json.loads(line) for line in lines if line)
        finally:
            answer.close()
