"""The choice of a window: mixed enough, then the one that needs the least compression."""

from runtime.workload.trace import Request
from runtime.workload.window import least_compressed


def jobs(*given: tuple[float, float, float, str]) -> list[Request]:
    return [Request(submit, runtime, gpus, tenant) for submit, runtime, gpus, tenant in given]


def width(request: Request) -> int:
    return int(request.gpus)


def test_takes_the_window_with_the_least_work() -> None:
    requests = jobs((0, 900, 1, "a"), (1, 900, 1, "a"), (2, 10, 1, "a"), (3, 20, 1, "a"), (4, 900, 1, "a"))
    assert least_compressed(requests, 2, 1, width) == 2


def test_takes_the_window_that_came_fastest_if_work_is_short() -> None:
    requests = jobs((0, 1, 1, "a"), (100, 1, 1, "a"), (130, 1, 1, "a"), (190, 1, 1, "a"))
    assert least_compressed(requests, 2, 8, width) == 1


def test_leaves_out_windows_that_are_less_mixed_than_usual() -> None:
    sweep = [(100.0 + n, 1.0, 1.0, "a") for n in range(3)]
    mixed = [(200.0 + n, 60.0, 1.0 + n % 2, "ab"[n % 2]) for n in range(8)]
    requests = jobs(*sweep, *mixed)
    begin = least_compressed(requests, 3, 1, width)
    assert {request.tenant for request in requests[begin : begin + 3]} == {"a", "b"}


def test_a_trace_no_longer_than_the_window_is_taken_whole() -> None:
    assert least_compressed(jobs((0, 1, 1, "a"), (1, 1, 1, "a")), 2, 8, width) == 0
    assert least_compressed(jobs((0, 1, 1, "a")), 2, 8, width) == 0


def test_the_first_of_equals() -> None:
    assert least_compressed(jobs(*((float(n), 5.0, 1.0, "a") for n in range(9))), 3, 8, width) == 0
