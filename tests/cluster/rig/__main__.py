"""A cluster by hand: ``python -m tests.cluster.rig`` prints the path of its kubeconfig and keeps it up until interrupted."""

import argparse
import contextlib
import signal
import sys
import threading

from tests.cluster.rig import processes
from tests.cluster.rig.control_plane import ADMIN, Cluster


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.rig", description=__doc__)
    parser.add_argument("--plain", action="store_true", help="without Kueue and JobSet")
    options = parser.parse_args()
    if why := processes.missing():
        print(why, file=sys.stderr)
        return 1
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with contextlib.suppress(KeyboardInterrupt), Cluster(guarded=not options.plain) as cluster:
        print(cluster.kubeconfig_file(ADMIN), flush=True)
        print(f"up after {cluster.seconds_to_ready:.0f} s, at {cluster.url}; logs in {cluster.root}", file=sys.stderr)
        ended.wait()
    return 0


sys.exit(main())
