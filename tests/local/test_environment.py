"""What a job finds around it: its variables, its devices, its peers; and nothing of Baray's."""

import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch, Placement
from local.gpus import Machine, parse_nodes
from tests.contracts.driver_contract import launch, log, settled, until
from tests.local.rig import NODES, LocalRig

ONE = AttemptId(1842, 7, 2)

# Rank 0 listens at the master's port, the others call it; each says what it heard.
MEETING = """
import os, socket, time
place = (os.environ["BARAY_MASTER_ADDR"], int(os.environ["BARAY_MASTER_PORT"]))
if os.environ["BARAY_RANK"] == "0":
    with socket.create_server(place) as server:
        peer, _ = server.accept()
        with peer:
            peer.sendall(b"hello from 0")
            print(peer.recv(100).decode())
else:
    for _ in range(500):
        try:
            peer = socket.create_connection(place)
            break
        except ConnectionRefusedError:
            time.sleep(0.01)
    with peer:
        print(peer.recv(100).decode())
        peer.sendall(b"hello from 1")
"""


def environment(rig: LocalRig, job: Launch, rank: int = 0) -> dict[str, str]:
    """What ``env`` says in the job."""
    spec = replace(job.spec, run=None, command=("env", "-0"))
    rig.driver.start(replace(job, spec=spec))
    assert settled(rig.driver, job.attempt).state is AttemptState.SUCCEEDED
    pairs = log(rig.driver, job.attempt, rank).decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def gpu_launch(flavor: str, *placements: Placement) -> Launch:
    job = launch(ONE)
    return Launch(ONE, job.spec, flavor, placements, 7)


def test_a_job_knows_itself_and_nothing_of_baray(rig: LocalRig) -> None:
    os.environ["BARAY_DATABASE_URL"] = "postgresql://secret"
    try:
        rig.driver.observe()
        found = environment(rig, launch(ONE, env={"LR": "3e-4"}, secrets={"HF_TOKEN": "hunter2"}))
    finally:
        del os.environ["BARAY_DATABASE_URL"]
    work = str(rig.place(ONE).work)
    port = found.pop("BARAY_MASTER_PORT")
    assert found.pop("MASTER_PORT") == port
    assert 20_000 <= int(port) < 32_000
    assert found == {
        "BARAY_ATTEMPT": "1842_7.2",
        "BARAY_GPUS": "0",
        "BARAY_JOB": "1842",
        "BARAY_MASTER_ADDR": "127.0.0.1",
        "BARAY_NODE": "local-1",
        "BARAY_NODES": "1",
        "BARAY_PROJECT": "khmer-asr",
        "BARAY_RANK": "0",
        "BARAY_TASK": "7",
        "BARAY_WORK_DIR": work,
        "CUDA_VISIBLE_DEVICES": "",
        "HF_TOKEN": "***",  # as the log shows it
        "HOME": work,
        "LANG": "C.UTF-8",
        "LOCAL_RANK": "0",
        "LR": "3e-4",
        "MASTER_ADDR": "127.0.0.1",
        "OMP_NUM_THREADS": "1",
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "PWD": work,
        "RANK": "0",
        "WORLD_SIZE": "1",
    }


def test_a_user_may_set_anything_but_what_the_centre_says(rig: LocalRig) -> None:
    own = {"OMP_NUM_THREADS": "3", "PATH": "/bin:/usr/bin", "CUDA_VISIBLE_DEVICES": "0,1,2,3", "BARAY_JOB": "1"}
    found = environment(rig, launch(ONE, env=own))
    assert (found["OMP_NUM_THREADS"], found["PATH"]) == ("3", "/bin:/usr/bin")
    assert (found["CUDA_VISIBLE_DEVICES"], found["BARAY_JOB"]) == ("", "1842")


def test_devices_of_two_virtual_nodes_never_show_the_same_number(rig: LocalRig) -> None:
    shown = set()
    for flavor, node, count in (("h100-80gb", "local-1", 4), ("a100-40gb", "local-2", 2), ("h100-80gb", "local-2", 2)):
        for device in range(count):
            attempt = AttemptId(len(shown) + 1, None, 1)
            job = replace(gpu_launch(flavor, Placement(node, (device,))), attempt=attempt)
            found = environment(rig, job)
            assert found["BARAY_GPUS"] == "1"
            shown.add(found["CUDA_VISIBLE_DEVICES"])
    assert shown == {str(number) for number in range(8)}


def test_each_rank_of_a_gang_has_its_own_devices(rig: LocalRig) -> None:
    job = gpu_launch("h100-80gb", Placement("local-1", (1, 3)), Placement("local-2", (0,)))
    first = environment(rig, job)
    second = dict(pair.split("=", 1) for pair in log(rig.driver, ONE, 1).decode().split("\0") if pair)
    assert (first["CUDA_VISIBLE_DEVICES"], first["BARAY_GPUS"], first["BARAY_NODE"]) == ("1,3", "2", "local-1")
    assert (second["CUDA_VISIBLE_DEVICES"], second["BARAY_GPUS"], second["BARAY_NODE"]) == ("6", "1", "local-2")
    assert (first["WORLD_SIZE"], second["RANK"], second["BARAY_NODES"]) == ("2", "1", "2")
    assert first["BARAY_MASTER_PORT"] == second["BARAY_MASTER_PORT"]


def test_real_devices_are_shown_by_their_uuid(tmp_path: Path) -> None:
    rig = LocalRig(tmp_path / "local")
    rig.driver.close()
    machine = Machine(parse_nodes(NODES), {("local-1", "h100-80gb"): ("GPU-a", "GPU-b", "MIG-c", "GPU-d")})
    rig.machine = machine
    rig.reopen()
    found = environment(rig, gpu_launch("h100-80gb", Placement("local-1", (0, 2))))
    assert found["CUDA_VISIBLE_DEVICES"] == "GPU-a,MIG-c"
    rig.close()


def test_the_ranks_of_a_gang_talk_to_each_other(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, nodes=2, command=(sys.executable, "-c", MEETING)))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    assert log(rig.driver, ONE, 0) == b"hello from 1\n"
    assert log(rig.driver, ONE, 1) == b"hello from 0\n"


def test_a_script_runs_in_bash_or_in_what_it_asks_for(rig: LocalRig) -> None:
    bash, python = AttemptId(1, None, 1), AttemptId(2, None, 1)
    rig.driver.start(launch(bash, run='a=(x y); echo "${a[1]}"; pwd; false; echo on'))
    rig.driver.start(launch(python, run=f"#!{sys.executable}\nprint(1 + 1)\n"))
    settled(rig.driver, bash)
    settled(rig.driver, python)
    assert log(rig.driver, bash) == f"y\n{rig.place(bash).work}\non\n".encode()
    assert log(rig.driver, python) == b"2\n"


def test_a_long_script_is_not_in_the_argument_list(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run="#" + "x" * 3_000_000 + "\necho done"))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    assert log(rig.driver, ONE) == b"done\n"


def test_a_job_reads_nothing_and_holds_no_descriptor_of_ours(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, command=("sh", "-c", "cat; ls /proc/self/fd | wc -l; umask")))
    settled(rig.driver, ONE)
    assert log(rig.driver, ONE) == b"4\n0022\n"  # 0, 1, 2 and the directory that ls reads


def test_an_ignored_image_is_said(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, image="registry.example/pytorch:2"))
    assert settled(rig.driver, ONE).detail == "The image was ignored: jobs run on this machine's own system."
    assert any("Images are ignored" in note for note in rig.driver.inventory().notes)


def test_what_lies_on_disk_is_closed(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run="sleep 300"))
    place = rig.place(ONE)
    until(lambda: place.log(0).exists())

    def modes(*paths: Path) -> set[int]:
        return {stat.S_IMODE(path.stat().st_mode) for path in paths}

    assert modes(rig.root / "attempts", place.path.parent, place.path) == {0o711}
    assert modes(rig.root / "live", place.work) == {0o700}
    assert modes(place.spec, place.claim, place.log(0), rig.root / "warden.log") == {0o600}
