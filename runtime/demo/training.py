"""The first load: the examples of ``examples/``, submitted as their users would, and what they reached."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli import jobfile
from cli.pack import pack
from client import FINAL_STATES
from client.files import target_of
from client.models import Job
from runtime.demo.failure import DemoFailed
from runtime.demo.python import JobPython
from runtime.demo.screen import Column
from runtime.demo.visit import Visit

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = ("digits.yaml", "sweep.yaml", "gang.yaml")

_LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Result:
    """One result file. ``where`` is the id of the job or task that left it."""

    where: str
    name: str
    found: dict[str, Any]


def train(visit: Visit, python: JobPython) -> list[Result]:
    """Submit all, watch them, bring their results here and show them."""
    jobs = _submit(visit, python)
    _watch(visit, jobs)
    results = [result for job in jobs for result in _results(visit, job)]
    _show(visit, results)
    return results


def _submit(visit: Visit, python: JobPython) -> list[Job]:
    """The job files as they are, with the Python that has what they need."""
    if not EXAMPLES.is_dir():
        raise DemoFailed(f"the examples are not at {EXAMPLES}", fix="run the demo from a checkout of Baray")
    jobs, sent = [], ""
    for name in FILES:
        file = EXAMPLES / name
        spec = jobfile.read(str(file), file.read_text(encoding="utf-8"), EXAMPLES).spec
        member = visit.member(spec["project"])
        if not sent:
            with pack(EXAMPLES / spec["source"]) as packed:
                sent = member.files.upload_source(packed.file, packed.size)["sha256"]
        env = {**spec["env"], "PYTHON": python.path, **python.env}
        jobs.append(member.jobs.submit({**spec, "source": sent, "env": env}))
        tasks, shape = jobs[-1]["tasks"]["total"], spec["resources"]
        what = f"{tasks} tasks" if tasks > 1 else f"{shape.get('nodes', 1)} nodes" if "nodes" in shape else "1 GPU"
        visit.screen.say(f"job {jobs[-1]['id']}  {name:12} {what:8} in {spec['project']}, by {jobs[-1]['user']}")
    return jobs


def _watch(visit: Visit, jobs: list[Job]) -> None:
    total = sum(job["tasks"]["total"] for job in jobs)
    with visit.screen.bar("training", total) as bar:
        while True:
            visit.server.check()
            seen = [visit.admin.jobs.get(job["id"]) for job in jobs]
            running = sum(job["tasks"]["running"] + job["tasks"]["starting"] for job in seen)
            waiting = sum(job["tasks"]["pending"] for job in seen)
            bar.update(sum(job["tasks"]["succeeded"] for job in seen), f"{running} running, {waiting} waiting")
            if all(job["state"] in FINAL_STATES for job in seen):
                return visit.expect_success(seen)
            time.sleep(_LOOK_EVERY_S)


def _results(visit: Visit, job: Job) -> list[Result]:
    """The result file of each task, by way of the centre."""
    member = visit.member(job["project"])
    tasks = [task["id"] for task in member.jobs.tasks(job["id"])] if job["tasks"]["total"] > 1 else [str(job["id"])]
    found = []
    for task in tasks:
        for output in member.files.outputs(task):
            target = target_of(visit.place.results / task, output)
            member.files.download(task, output, target)
            found.append(Result(task, job["name"], json.loads(target.read_text(encoding="utf-8"))))
    if len(found) != len(tasks):
        raise DemoFailed(f"job {job['id']} ({job['name']}) left {len(found)} results, not {len(tasks)}")
    return found


def _show(visit: Visit, results: list[Result]) -> None:
    columns = (
        Column("job", right=True),
        Column("name"),
        Column("how"),
        Column("accuracy on held-out digits", right=True),
    )
    rows = [(result.where, result.name, _how(result.found), f"{result.found['accuracy']:.3f}") for result in results]
    visit.screen.table(columns, rows)


def _how(found: dict[str, Any]) -> str:
    if "ranks" in found:
        return f"{found['ranks']} processes, {found['steps']} steps, gradients averaged"
    if "rate" in found:
        return f"learning rate {found['rate']}, batch {found['batch']}"
    return str(found["model"])
