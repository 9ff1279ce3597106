"""The way through the demo. Read ``_show`` first."""

import signal
from collections.abc import Sequence
from contextlib import closing
from types import FrameType

import client
from client import Baray
from client.models import Attempt, Job
from runtime.demo.centre import FUNDERS, GRANTS, NODES, PROJECTS, TENANTS, set_up
from runtime.demo.failure import DemoFailed
from runtime.demo.load import Load, find_load
from runtime.demo.place import Place, open_place
from runtime.demo.python import find_python
from runtime.demo.replay import replay, show_queue
from runtime.demo.report import report
from runtime.demo.screen import Screen
from runtime.demo.server import Server
from runtime.demo.training import train
from runtime.demo.visit import Visit

INTERRUPTED = 130

_KINDS = {"university": "universities", "startup": "startups", "ministry": "ministry"}
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


def run(trace: str | None, jobs: int, data_dir: str | None, *, stay: bool, offset: int | None = None) -> int:
    """The exit code: 0 if everything ran and every sum agrees. Raises BarayError, in words, if not."""
    screen = Screen()
    try:
        _heed_endings()
        load = find_load(trace, jobs, offset)
        with open_place(data_dir) as place, Server(place.data_dir, NODES, place.log) as server:
            _show(screen, place, server, load, stay=stay)
    except client.BarayError as error:
        raise DemoFailed(f"the centre said: {error.message}", fix="; ".join(error.fixes) or None) from error
    except KeyboardInterrupt:
        screen.console.print()
        screen.say("stopped; nothing of it runs any more")
        return INTERRUPTED
    return 0


def _show(screen: Screen, place: Place, server: Server, load: Load, *, stay: bool) -> None:
    """1. start  2. set up  3. train  4. replay  5. report  6. stay, if asked to"""
    screen.console.print("Baray: an example GPU centre on this machine, run to the end", style="bold")

    screen.heading("Start the centre")
    python = find_python(place.own)
    server.wait_ready()
    screen.say(f"up at {server.address}, with an embedded SQLite database in {place.data_dir}")

    with Baray(server.address, server.token) as admin:
        screen.heading("Set up an example centre")
        visit = Visit(screen, place, server, admin, set_up(admin))
        _introduce(visit)
        with closing(visit):
            screen.heading("Real AI work: handwritten digits, learned three ways")
            if python.note:
                screen.say(python.note)
            train(visit, python)

            screen.heading(load.title)
            for note in load.notes:
                screen.say(note)
            replayed = replay(visit, load)

            show_queue(visit, replayed, _attempts(visit, replayed.jobs))

            screen.heading("Who used what, and who pays for it")
            report(visit, _attempts(visit, list(admin.jobs.each())))
            screen.heading("Done")
            if stay:
                _stay(visit)
    if place.kept:
        screen.say(f"The centre is kept: baray up --data-dir {place.data_dir} --nodes '{NODES}'")
        screen.say(f"its administrator's token: {server.token}")
    elif not stay:
        screen.say("Look around in it: baray demo --stay.  A centre of your own: baray up")


def _introduce(visit: Visit) -> None:
    screen, kinds = visit.screen, [tenant.kind for tenant in TENANTS]
    tenants = ", ".join(f"{kinds.count(kind)} {words}" for kind, words in _KINDS.items())
    screen.say(f"{tenants}; {len(PROJECTS)} projects, {visit.centre.users} users with tokens and roles")
    screen.say(f"{len(FUNDERS)} funders, {len(GRANTS)} grants, an allocation for each project, quotas for each tenant")
    nodes = [node for cluster in visit.admin.clusters.each() for node in cluster["nodes"]]
    for flavor in visit.admin.flavors.each():
        count = sum(flavor["name"] in node["devices"] for node in nodes)
        if count:
            rate = flavor["rate_su_per_hour"]
            screen.say(f"{flavor.get('total')} virtual GPUs {flavor['name']} on {count} nodes, {rate} SU an hour each")


def _attempts(visit: Visit, jobs: Sequence[Job]) -> list[Attempt]:
    return [attempt for job in jobs for attempt in visit.attempts(job["id"])]


def _stay(visit: Visit) -> None:
    """Until Ctrl-C, which is a good end."""
    visit.screen.say(f"The centre stays up at {visit.server.address}; Ctrl-C ends it")
    visit.screen.say(f"its administrator's token: {visit.server.token}")
    visit.screen.say(f"log in with:  baray login --with-token --address {visit.server.address}")
    try:
        visit.server.wait()
    except KeyboardInterrupt:
        visit.screen.console.print()


def _heed_endings() -> None:
    """A request to end is Ctrl-C, whichever way it comes. Repeated, it no longer disturbs: all is taken down in order."""

    def stop(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        for ending in _ENDINGS:
            signal.signal(ending, signal.SIG_IGN)
        raise KeyboardInterrupt

    for ending in _ENDINGS:
        signal.signal(ending, stop)
