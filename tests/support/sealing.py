"""A sealer and a verification on a test's centre, with a key of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection

from lifecycle.keys import list_key
from lifecycle.ports import UnitOfWork
from lifecycle.seal import Sealer
from lifecycle.verify import Altered, Verification
from lifecycle.witness import witness
from quotas.leaves import AuditEntry
from store.signer import FileSigner, make_key, signed_by
from store.unit_of_work import Store
from tests.support.centre import Centre

NAME = "audit.centre.example"


@dataclass(slots=True)
class Sealed:
    """A centre whose rows are sealed when the test says so."""

    centre: Centre
    signer: FileSigner
    sealer: Sealer

    @classmethod
    def on(cls, centre: Centre, root: Path, batch: int = 1_000) -> "Sealed":
        make_key(root / "audit.key")
        signer = FileSigner(root / "audit.key", NAME)
        with centre.store.write() as uow:
            list_key(uow, signer, centre.clock.now_ms())
        return cls(centre, signer, Sealer(centre.store, signer, batch))

    def seal(self) -> int:
        """Until nothing waits; a head is signed whenever it is time."""
        count = 0
        while leaves := self.sealer.step(self.centre.epoch, self.centre.clock.now_ms()):
            count += leaves
        return count

    def again(self) -> None:
        """Another process seals from now on."""
        self.sealer = Sealer(self.centre.store, self.signer, self.sealer.batch)

    def note(self, action: str, subject: str = "/things/1", by: str = "dara") -> AuditEntry:
        with self.centre.store.write() as uow:
            now_ms = self.centre.clock.now_ms()
            return witness(uow.audit, now_ms, action, subject, {"status": 201}, {"by": by, "reason": "a test"})

    def wrong(
        self, known: Mapping[int, bytes] | None = None, batch: int = 100, on: Connection | None = None
    ) -> Altered | None:
        """The first thing that a verification finds; None if all is well. ``on`` a transaction that is still open."""
        if on is not None:
            return self._wrong(Store(self.centre.database.engine)._unit(on), known, batch)
        with self.centre.store.read() as uow:
            return self._wrong(uow, known, batch)

    def _wrong(self, uow: UnitOfWork, known: Mapping[int, bytes] | None, batch: int) -> Altered | None:
        check = Verification(uow, signed_by, self.signer.public(), known or {}, batch)
        try:
            check.run()
        except Altered as found:
            return found
        assert check.leaves == uow.seals.size()
        return None
