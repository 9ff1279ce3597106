"""Routes that wait or stream: a job's end, and its log as it grows."""

import json
import threading
import time

import pytest
import urllib3

from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.marks import on_sqlite
from tests.support.serving import API, Api


def events(api: Api, path: str, **headers: str) -> list[tuple[str, str, dict]]:
    """(event, id, data) of a stream, to its end."""
    answer = api.pool.request(
        "GET",
        api.address + API + path,
        headers={"Authorization": f"Bearer {api.token}", **headers},
        preload_content=False,
    )
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    found = []
    for block in answer.read().decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields.get("event", "message"), fields["id"], json.loads(fields["data"])))
    return found


@on_sqlite
def test_a_stream_tells_the_log_and_the_end(api: Api, centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m print hello")).id
    centre.run()
    assert events(api, f"/jobs/{job}/logs/stream") == [
        ("message", "5", {"offset": 0, "text": "hello"}),
        ("end", "5", {"state": "succeeded"}),
    ]
    assert events(api, f"/jobs/{job}/logs/stream", **{"Last-Event-ID": "3"})[0] == (
        "message",
        "5",
        {"offset": 3, "text": "lo"},
    )
    assert events(api, f"/jobs/{job}/logs/stream?offset=5") == [("end", "5", {"state": "succeeded"})]


@on_sqlite
def test_a_stream_that_began_before_the_job_follows_it_to_its_end(api: Api, centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m print hello")).id
    got: list = []
    thread = threading.Thread(target=lambda: got.extend(events(api, f"/jobs/{job}/logs/stream")))
    thread.start()
    time.sleep(0.3)
    centre.run()
    thread.join(20)
    assert [(event, data) for event, _, data in got] == [
        ("message", {"offset": 0, "text": "hello"}),
        ("end", {"state": "succeeded"}),
    ]


@on_sqlite
def test_a_stream_of_what_never_ran_ends_with_the_job(api: Api, centre: Centre) -> None:
    job = centre.submit(spec(held=True)).id
    centre.control("cancel", job)
    assert events(api, f"/jobs/{job}/logs/stream") == [("end", "0", {"state": "cancelled"})]


@on_sqlite
def test_waiting_ends_with_the_job_or_with_the_time(api: Api, centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m")).id
    begun = time.monotonic()
    assert api.get(f"/jobs/{job}/wait", query={"timeout_s": 0}).json["state"] == "pending"
    assert api.get(f"/jobs/{job}/wait", query={"timeout_s": 1}).json["state"] == "pending"
    assert 1 <= time.monotonic() - begun < 10
    seen: list = []
    thread = threading.Thread(
        target=lambda: seen.append(api.get(f"/jobs/{job}/wait", query={"timeout_s": 30}).json["state"])
    )
    thread.start()
    centre.run()
    thread.join(20)
    assert seen == ["succeeded"]


@on_sqlite
def test_logs_are_read_in_pieces(api: Api, centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m print hello")).id
    before = api.get(f"/jobs/{job}/logs")
    assert (before.body, before.headers["Baray-Complete"], before.headers["Baray-Next-Offset"]) == (b"", "false", "0")
    centre.run()
    first = api.get(f"/jobs/{job}/logs", query={"limit": 3})
    assert (first.body, first.headers["Baray-Next-Offset"], first.headers["Baray-Complete"]) == (b"hel", "3", "false")
    rest = api.get(f"/jobs/{job}/logs", query={"offset": 3})
    assert (rest.body, rest.headers["Baray-Next-Offset"], rest.headers["Baray-Complete"]) == (b"lo", "5", "true")
    assert rest.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert api.get(f"/jobs/{job}/logs", query={"attempt": 2}).status == 404
    assert api.get(f"/jobs/{job}/logs", query={"rank": 1}).status == 404


@on_sqlite
def test_an_output_is_downloaded_whole(api: Api, centre: Centre) -> None:
    job = centre.submit(spec(command="run 1m leave 42", outputs=("*.txt",))).id
    centre.run()
    (listed,) = api.get(f"/jobs/{job}/outputs").json["items"]
    answer = api.get(f"/jobs/{job}/outputs/{listed['path']}")
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"42", "2")
    assert api.get(f"/jobs/{job}/outputs/other.txt").status == 404
    assert api.get(f"/jobs/{job}/outputs/..%2F..%2Fsecret").status == 404


@on_sqlite
def test_a_follower_who_goes_away_leaves_nothing_behind(api: Api, centre: Centre) -> None:
    job = centre.submit(spec()).id
    before = threading.active_count()
    for _ in range(5):
        pool = urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=0.2))
        with pytest.raises(urllib3.exceptions.ReadTimeoutError):
            pool.request(
                "GET", f"{api.address}{API}/jobs/{job}/logs/stream", headers={"Authorization": f"Bearer {api.token}"}
            )
        pool.clear()
    time.sleep(1)
    assert threading.active_count() <= before + 40, "only the thread pool's own remain"
    assert api.get(f"/jobs/{job}").status == 200


@on_sqlite
def test_one_user_holds_so_many_places_and_no_more(api: Api, centre: Centre) -> None:
    """Each follower asks the database again and again. Who hangs up gives the place back."""
    job = centre.submit(spec(held=True)).id
    dara = api.as_(centre.population.tokens["dara"])
    pool = urllib3.PoolManager(maxsize=100, retries=False, timeout=30)
    head = {"Authorization": f"Bearer {dara.token}"}
    address = f"{api.address}{API}/jobs/{job}/logs/stream"
    held = [pool.request("GET", address, headers=head, preload_content=False) for _ in range(64)]
    assert {one.status for one in held} == {200}
    for path in (f"/jobs/{job}/logs/stream", f"/jobs/{job}/wait?timeout_s=1"):
        refused = dara.get(path)
        assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, "rate-limited", "1")
    assert api.get(f"/jobs/{job}/wait", query={"timeout_s": 0}).status == 200, "others have places of their own"
    for one in held:
        one.close()
    deadline = time.monotonic() + 20
    while (answer := dara.get(f"/jobs/{job}/wait", query={"timeout_s": 0})).status == 429:
        assert time.monotonic() < deadline, "places are not given back"
        time.sleep(0.1)
    assert answer.status == 200
