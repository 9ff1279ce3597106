"""Roles and scratch on this machine: ranks that run different commands, and a directory that goes with the attempt."""

from dataclasses import replace
from typing import Any

from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Placement, Role
from tests.contracts.driver_contract import launch, log, settled, until
from tests.local.rig import LocalRig

ONE = AttemptId(1842, None, 1)


def gang(rig: LocalRig, *roles: Role, **more: Any) -> Launch:
    single = launch(ONE, rig.node)
    ranks = sum(role.nodes for role in roles)
    spec = replace(single.spec, command=(), run=None, roles=roles, **more)
    spec = replace(spec, resources=replace(spec.resources, nodes=ranks))
    return replace(single, spec=spec, placements=(Placement(rig.node, ()),) * ranks)


def test_ranks_run_what_their_roles_say_in_the_order_of_the_job_file(rig: LocalRig) -> None:
    learner = Role("learner", 1, run="echo $BARAY_ROLE $BARAY_RANK of $WORLD_SIZE, $LR $OPT", env={"LR": "2"})
    actor = Role("actor", 2, command=("/bin/sh", "-c", "echo $BARAY_ROLE $BARAY_RANK, $LR"))
    critic = Role("critic", 1, run="#!/bin/sh\necho the third, $LR")
    rig.driver.start(gang(rig, learner, actor, critic, env={"LR": "1", "OPT": "adam"}))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    said = [log(rig.driver, ONE, rank).decode().strip() for rank in range(4)]
    assert said == ["learner 0 of 4, 2 adam", "actor 1, 1", "actor 2, 1", "the third, 1"]
    rig.driver.forget(ONE)
    until(lambda: not list(rig.root.rglob("script*")))


def test_a_role_that_fails_ends_the_others(rig: LocalRig) -> None:
    rig.driver.start(gang(rig, Role("one", 1, run="sleep 300"), Role("two", 1, run="exit 3")))
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.FAILED, 3)


def test_roles_that_do_not_add_up_or_run_nothing_never_start(rig: LocalRig) -> None:
    whole = gang(rig, Role("one", 2, run="true"))
    rig.driver.start(replace(whole, placements=whole.placements[:1]))
    assert "do not add up" in settled(rig.driver, ONE).detail
    other = AttemptId(1843, None, 1)
    rig.driver.start(replace(gang(rig, Role("one", 1)), attempt=other))
    assert "neither a script nor a command" in settled(rig.driver, other).detail


def test_scratch_is_empty_and_goes_with_the_attempt(rig: LocalRig) -> None:
    single = launch(ONE, rig.node, run='cd "$BARAY_SCRATCH"; ls -A; echo kept > file; cat file')
    rig.driver.start(replace(single, spec=replace(single.spec, volumes={"/scratch": "scratch"})))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    assert log(rig.driver, ONE) == b"kept\n"
    assert list(rig.root.rglob("scratch/file"))
    rig.driver.forget(ONE)
    until(lambda: not list(rig.root.rglob("scratch")))


def test_other_volumes_are_none_of_this_machines(rig: LocalRig) -> None:
    single = launch(ONE, rig.node)
    rig.driver.start(replace(single, spec=replace(single.spec, volumes={"/data": "dataset/khmer-ocr@v3"})))
    end = settled(rig.driver, ONE)
    assert end.state is AttemptState.FAILED
    assert "has no volume 'dataset/khmer-ocr@v3'" in end.detail
