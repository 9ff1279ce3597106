"""What is old enough goes: rows of people by class, files of jobs, sources that nobody starts from any more.

Run by the leading controller once a day, in pieces. Every transaction checks the epoch and is bounded; what a legal hold covers is
not touched, and looked at again once it is lifted. A run that is killed goes on with the next.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.errors import Fault, Invalid
from domain.people import Caller, UserState
from domain.quantities import DAY_MS
from domain.retention import DEFAULTS, LONGEST_DAYS, UNSWEPT, Basis, Keep, Term, terms_of
from lifecycle.custody import Held, Leavings, Leftover, RetentionRule
from lifecycle.erasure import erase_checked
from lifecycle.holds import FILES, held
from lifecycle.paging import Page
from lifecycle.ports import Store, UnitOfWork
from lifecycle.words import check_prose

BATCH = 500
RUN = "sweep-asked"  # the stamp that tells when somebody asked for a run
_FILES = 50  # attempts whose files are removed in one transaction
_MOST_BATCHES = 4  # of a class at a time: what is left is for the next piece of the run
_SOURCE_LENGTH = 500
_ROWS = (Keep.TOKEN, Keep.ATTEMPT, Keep.CHANGE, Keep.ACTING, Keep.AUDIT, Keep.NOTICE)


def terms_at(uow: UnitOfWork, now_ms: int) -> dict[Keep, Term]:
    """Bases and periods in force: of the last rule that has begun, over the defaults."""
    begun = [rule for rule in uow.custody.retention_rules() if rule.from_ms <= now_ms]
    return terms_of(begun[-1].document if begun else {})


def set_rule(
    uow: UnitOfWork, caller: Caller, document: Mapping[str, Any], reason: str, now_ms: int, from_ms: int | None
) -> RetentionRule:
    """Other bases and periods, from a time to come or from now on. It replaces the whole of the rule before."""
    check_document(document)
    if from_ms is not None and from_ms < now_ms:
        raise Invalid("a rule does not begin in the past", "from_ms", fix="leave it out: from now on")
    uow.take_turn()
    rule = RetentionRule(0, now_ms if from_ms is None else from_ms, dict(document), caller.user.id, reason, now_ms)
    return uow.custody.add_retention_rule(rule)


def check_document(document: Mapping[str, Any]) -> None:
    """Raises Invalid with all that is wrong."""
    faults = []
    for name, given in document.items():
        where = f"document.{name[:40]}"
        if name not in set(Keep):
            faults.append(Fault("is no class of data", where, f"use one of {', '.join(Keep)}"))
            continue
        if not isinstance(given, dict) or not given.keys() <= {"basis", "days", "source"}:
            faults.append(Fault("takes basis, days and source", where))
            continue
        faults += _faults_of(Keep(name), given, where)
    if faults:
        raise Invalid.many(faults)


def _faults_of(keep: Keep, given: Mapping[str, Any], where: str) -> list[Fault]:
    found = []
    days = given.get("days", DEFAULTS[keep].days)
    if keep in UNSWEPT and days is not None:
        found.append(Fault("has no period: it goes by erasure", f"{where}.days", "leave it out"))
    elif keep not in UNSWEPT and (type(days) is not int or not 1 <= days <= LONGEST_DAYS):
        found.append(Fault(f"is a number of days, 1 to {LONGEST_DAYS}", f"{where}.days"))
    basis = given.get("basis", Basis.CONSENT)
    if not isinstance(basis, str) or basis not in set(Basis):
        found.append(Fault("is no basis", f"{where}.basis", f"use one of {', '.join(Basis)}"))
    source = given.get("source", "")
    if "source" not in given:
        found.append(Fault("is missing", f"{where}.source", "cite the law, the decree or the decision"))
    elif not isinstance(source, str) or not 0 < len(source) <= _SOURCE_LENGTH:
        found.append(Fault(f"is a text of at most {_SOURCE_LENGTH} letters", f"{where}.source"))
    else:
        check_prose(source, f"{where}.source")
    return found


def retain(store: Store, leavings: Leavings | None, epoch: int, now_ms: int, *, at_once: bool) -> bool:
    """A piece of a run, if the day is over, somebody asked, or ``at_once``. True if there is more to do."""
    if not at_once:
        with store.read() as uow:
            newest = uow.privacy.sweeps(Page(None, 1))
            asked_ms = uow.custody.mark(RUN)
        last_ms = newest[0][1] if newest else None
        if last_ms is not None and now_ms - last_ms < DAY_MS and asked_ms <= last_ms:
            return False
    sweeper = Sweeper(store, leavings)
    sweeper.run(epoch, now_ms)
    return sweeper.more


@dataclass(slots=True)
class Sweeper:
    """A piece of a run. ``dry``: only counts what it would remove, and at most one batch of a class.

    Afterwards ``more`` says that some class had more than so many batches.
    """

    store: Store
    leavings: Leavings | None
    dry: bool = False
    batch: int = BATCH
    more: bool = False

    def run(self, epoch: int, now_ms: int) -> dict[str, int]:
        """Remove all that is due. Answers kind → count, and writes it down."""
        counts: Counter[str] = Counter()
        with self.store.read() as uow:
            terms = terms_at(uow, now_ms)
        before = {keep: now_ms - term.ms for keep, term in terms.items() if term.ms is not None}
        for keep in _ROWS:
            counts[keep.value] += self._rows(keep, before[keep], epoch)
        counts[Keep.WAITING.value] += self._waiting(before[Keep.WAITING], epoch, now_ms)
        counts[Keep.ANSWER.value] += self._answers(before[Keep.ANSWER], epoch)
        if not self.dry:
            counts["spent"] += self._spent(before[Keep.ATTEMPT], epoch)
        if self.leavings is not None:
            counts["files"] += self._files(before[Keep.FILE], epoch)
            counts["sources"] += self._sources(before[Keep.FILE], epoch)
            if not self.dry:
                counts["orders"] += self._orders(epoch)
        done = {kind: count for kind, count in sorted(counts.items()) if count}
        if not self.dry:
            with self.store.write() as uow:
                uow.leader.check(epoch)
                uow.privacy.add_sweep(now_ms, done)
        return done

    def _rows(self, keep: Keep, before_ms: int, epoch: int) -> int:
        if self.dry:
            with self.store.read() as uow:
                return len(uow.custody.due(keep, before_ms, held(uow), self.batch))
        total = 0
        for _ in range(_MOST_BATCHES):
            with self.store.write() as uow:
                rows = uow.custody.due(keep, before_ms, self._held(uow, epoch), self.batch)
                total += uow.custody.sweep(keep, rows) if rows else 0
            if len(rows) < self.batch:
                return total
        self.more = True
        return total

    def _held(self, uow: UnitOfWork, epoch: int) -> Held:
        """No hold is set between this look and the commit."""
        uow.leader.check(epoch)
        uow.take_turn()
        return held(uow)

    def _waiting(self, before_ms: int, epoch: int, now_ms: int) -> int:
        """Whom nobody admitted is erased like anybody else."""
        with self.store.read() as uow:
            users = uow.custody.due(Keep.WAITING, before_ms, held(uow), self.batch)
        if self.dry:
            return len(users)
        self.more = self.more or len(users) == self.batch
        count = 0
        for user_id in users:
            with self.store.write() as uow:
                now = self._held(uow, epoch)
                uow.custody.lock(user_id)
                user = uow.people.user_of(user_id)
                still = user is not None and user.state is UserState.WAITING
                if user is not None and still and not now.everything and user_id not in now.users:
                    erase_checked(uow, user, now_ms)
                    count += 1
        return count

    def _answers(self, before_ms: int, epoch: int) -> int:
        if self.dry:
            return 0
        total = 0
        for _ in range(_MOST_BATCHES):
            with self.store.write() as uow:
                gone = uow.custody.sweep_answers(before_ms, self._held(uow, epoch), self.batch)
            total += gone
            if gone < self.batch:
                return total
        self.more = True
        return total

    def _spent(self, before_ms: int, epoch: int) -> int:
        total = 0
        for _ in range(_MOST_BATCHES):
            with self.store.write() as uow:
                now = self._held(uow, epoch)
                gone = 0 if now.everything else uow.custody.sweep_spent(before_ms, self.batch)
            total += gone
            if gone < self.batch:
                return total
        self.more = True
        return total

    def _files(self, before_ms: int, epoch: int) -> int:
        """Logs and outputs of attempts, in the order of their rows, up to the first that is not old enough.

        Held ones are passed over; lifting a hold sets the mark back.
        """
        assert self.leavings is not None
        total, batch = 0, min(self.batch, _FILES)
        with self.store.read() as uow:
            mark = uow.custody.mark(FILES)
        for _ in range(_MOST_BATCHES):
            with self.store.read() as uow:
                now, found = held(uow), uow.custody.leftovers(mark, batch)
            old = _until_young(found, before_ms)
            free = [one for one in old if not _is_held(one, now)]
            total += len(free)
            if self.dry or not old:
                return total
            with self.store.write() as uow:  # the hold is set before, and then seen, or after, and finds them gone
                now = self._held(uow, epoch)
                free = [one for one in free if not _is_held(one, now)]
                uow.custody.drop_outputs([one.row for one in free])
                self.leavings.discard([one.attempt for one in free])
                mark = old[-1].row
                uow.custody.set_mark(FILES, mark)
            if len(old) < batch:
                return total
        self.more = True
        return total

    def _sources(self, before_ms: int, epoch: int) -> int:
        """Sources belong to nobody in particular: under any hold all of them stay.

        Rows go first; a file without a row goes by the next run, so that nobody who starts from it meanwhile loses it.
        """
        assert self.leavings is not None
        with self.store.read() as uow:
            old = [] if held(uow) != Held() else uow.custody.old_sources(before_ms, self.batch)
            if self.dry or held(uow) != Held():
                return len(old)
            stale = list(_some(self.leavings.sources(before_ms), self.batch))
            unknown = set(stale) - uow.custody.known_sources(stale)
        self.leavings.discard_sources(sorted(unknown), before_ms)
        with self.store.write() as uow:
            if self._held(uow, epoch) != Held():
                return 0
            return uow.custody.drop_sources(uow.custody.old_sources(before_ms, self.batch))

    def _orders(self, epoch: int) -> int:
        """What attempts of erased people were started with. Their request is the queue: it goes when this is done."""
        assert self.leavings is not None
        count = 0
        with self.store.read() as uow:
            asked = uow.custody.erasure_requests(Page(None, self.batch))
            users = [uow.people.user_of(one.user_id) for one in asked]
        for user in users:
            if user is None or user.state is not UserState.ERASED:
                continue
            after = 0
            while True:
                with self.store.read() as uow:
                    found = uow.custody.leftovers_of(user.id, after, self.batch)
                self.leavings.forget_orders([one.attempt for one in found])
                count += len(found)
                if len(found) < self.batch:
                    break
                after = found[-1].row
            with self.store.write() as uow:
                uow.leader.check(epoch)
                uow.custody.withdraw_erasure(user.id)
        return count


def _until_young(found: Sequence[Leftover], before_ms: int) -> list[Leftover]:
    old = []
    for one in found:
        if one.ended_ms is None or one.ended_ms >= before_ms:
            break
        old.append(one)
    return old


def _is_held(one: Leftover, now: Held) -> bool:
    return now.everything or one.user_id in now.users or one.project_id in now.accounts


def _some(found: Any, most: int) -> Any:
    for number, one in enumerate(found):
        if number >= most:
            return
        yield one
