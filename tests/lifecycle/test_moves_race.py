"""A move beside the controller's transactions: whatever comes first, holdings stay those of the tree."""

import threading

import pytest

from domain.errors import BarayError
from lifecycle import moves
from lifecycle.lookout import Lookout
from lifecycle.schedule import schedule
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import resources, spec


@pytest.mark.promise(3)
def test_moves_and_starts_at_once_leave_no_holding_behind(centre: Centre) -> None:
    for _ in range(40):
        centre.submit(spec(needs=resources(1), command="run 30s"))
    mover, starter = centre.database.store(), centre.database.store()
    now_ms, begin = centre.clock.now_ms(), threading.Barrier(2)
    met: list[str] = []

    def go() -> None:
        begin.wait()
        for turn in range(12):
            try:
                with mover.write() as uow:
                    moves.move(uow, "speech", "itc" if turn % 2 == 0 else "cadt", None, now_ms)
            except BarayError as error:
                met.append(error.code)

    thread = threading.Thread(target=go)
    thread.start()
    begin.wait()
    lookout = Lookout(starter)
    for step in range(12):
        schedule(lookout, centre.epoch, now_ms)
        centre.dispatch()
        centre.clock.advance(seconds=15)
        if step % 2:
            centre.observe()
    thread.join()
    assert met == []
    assert_sound(centre.database, centre.store)
    centre.run()
    assert_sound(centre.database, centre.store)
