"""Runs the script against a real server: ``python -m tests.support.kube.record KUBECONFIG OUT.json``."""

import base64
import json
import os
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

import urllib3
from ruamel.yaml import YAML

from tests.support.kube.script import Answer, Call, run, text_of
from tests.support.kube.steps import STEPS

RECORDING = Path(__file__).parents[2] / "cluster" / "recordings" / "script.json"


def caller(url: str, token: str, context: ssl.SSLContext | None = None) -> Call:
    """One keeps its connection; answers that are no JSON are text."""
    pool = urllib3.PoolManager(ssl_context=context, retries=False)

    def call(method: str, path: str, body: Any, kind: str) -> Answer:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": kind,
            "User-Agent": "script/1",
            "Accept": "application/json",
        }
        data = None if body is None else json.dumps(body).encode()
        answer = pool.request(method, url + path, body=data, headers=headers)
        text = answer.data.decode()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            lines = [json.loads(line) for line in text.splitlines()] if text.startswith("{") else None
            return answer.status, lines if lines is not None else text.strip()

    return call


def of_kubeconfig(text: str) -> Call:
    config = YAML(typ="safe").load(text)
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context()
    if data := cluster.get("certificate-authority-data"):
        context.load_verify_locations(cadata=base64.b64decode(data).decode())
    elif file := cluster.get("certificate-authority"):
        context.load_verify_locations(cafile=file)
    if "client-certificate-data" in user:
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(
                base64.b64decode(user["client-certificate-data"]) + b"\n" + base64.b64decode(user["client-key-data"])
            )
            file.flush()
            context.load_cert_chain(file.name)
    return caller(cluster["server"], user.get("token", ""), context)


def main() -> int:
    kubeconfig, out = (Path(word) for word in sys.argv[1:3])
    told = run(of_kubeconfig(kubeconfig.read_text(encoding="utf-8")), STEPS, f"script-{os.urandom(3).hex()}")
    out.write_text(text_of(told), encoding="utf-8")
    missed = [entry["step"] for entry in told if "never came" in entry]
    print(f"{len(told)} steps written to {out}; {len(missed)} waited in vain: {', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
