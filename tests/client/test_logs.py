"""Logs: read in pieces, followed over broken connections."""

import json

import pytest

from client import Baray, NotFoundError, UnreachableError
from client.logs import FAILURES, LogEnd, LogText
from client.sse import ServerEvent, events
from tests.client.scripted import Answer, Centre, problem
from tests.client.scripted import events as stream

PATH = "GET /jobs/7/logs/stream"


def piece(text: str, after: int) -> str:
    data = json.dumps({"offset": after - len(text.encode()), "text": text}, ensure_ascii=False)
    return f"id: {after}\ndata: {data}"


def end(state: str) -> str:
    return f'event: end\ndata: {{"state": "{state}"}}'


def test_what_is_there_is_read_to_its_end(centre: Centre, baray: Baray) -> None:
    centre.on(
        "GET /jobs/7/logs",
        Answer(body=b"hello ", headers={"Baray-Next-Offset": "6", "Baray-Complete": "false"}),
        Answer(body=b"world", headers={"Baray-Next-Offset": "11"}),
        Answer(body=b"", headers={"Baray-Next-Offset": "11"}),
    )
    assert b"".join(baray.logs.read(7, rank=1, attempt=2)) == b"hello world"
    assert [request.query["offset"] for request in centre.requests] == [["0"], ["6"], ["11"]]
    assert centre.requests[0].query["rank"] == ["1"]
    assert centre.requests[0].query["attempt"] == ["2"]


def test_a_log_is_followed_to_the_end_of_its_job(centre: Centre, baray: Baray) -> None:
    centre.on(PATH, stream(": hello", piece("ភាសា\n", 13), end("succeeded")))
    assert list(baray.logs.follow(7)) == [LogText("ភាសា\n", 13), LogEnd("succeeded")]
    assert "last-event-id" not in centre.requests[0].headers


def test_a_broken_stream_is_resumed_where_it_broke(centre: Centre, baray: Baray) -> None:
    centre.on(
        PATH,
        stream(piece("one\n", 4), piece("two\n", 8), ended=False),
        Answer(drop=True),
        problem(503, "unavailable", "restarting"),
        stream(piece("three\n", 14), end("failed")),
    )
    found = list(baray.logs.follow(7))
    assert "".join(part.text for part in found if isinstance(part, LogText)) == "one\ntwo\nthree\n"
    assert found[-1] == LogEnd("failed")
    resumed = centre.requests[1:]
    assert [request.headers["last-event-id"] for request in resumed] == ["8", "8", "8"]
    assert [request.query["offset"] for request in resumed] == [["8"], ["8"], ["8"]]


def test_a_stream_that_stays_broken_is_given_up(centre: Centre) -> None:
    from tests.client.scripted import TOKEN

    centre.on(PATH, stream(piece("one\n", 4), ended=False), Answer(drop=True))
    with Baray(centre.address, TOKEN, backoff_s=0.001) as baray, pytest.raises(UnreachableError):
        list(baray.logs.follow(7))
    assert len(centre.requests) <= FAILURES + 2


def test_no_such_job(centre: Centre, baray: Baray) -> None:
    centre.on(PATH, problem(404, "not-found", "no job 7"))
    with pytest.raises(NotFoundError):
        list(baray.logs.follow(7))
    assert len(centre.requests) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_events_are_the_same_however_they_are_cut(size: int, newline: str) -> None:
    text = ": beat\nid: 4\ndata: one\ndata:two\n\nevent: end\ndata: x\n\ndata: cut off".replace("\n", newline)
    raw = text.encode()
    chunks = [raw[i : i + size] for i in range(0, len(raw), size)]
    assert list(events(chunks)) == [
        ServerEvent(":", "beat", None),
        ServerEvent("message", "one\ntwo", "4"),
        ServerEvent("end", "x", "4"),
    ]
