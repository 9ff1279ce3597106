"""The ports of people's rights on both databases: notes, corrections, holds and sweeps; and rows by the register."""

from dataclasses import replace

from domain.ids import AttemptId
from domain.jobs import JobState
from domain.logins import DeviceLogin, Identity, Session
from domain.oversight import Acting
from domain.people import TokenKind, User, UserState
from domain.personal import RECORDS, Record
from domain.quantities import DAY_MS
from domain.retention import Keep
from lifecycle.custody import ErasureRequest, Held, RetentionRule
from lifecycle.identity import LegalHold, PersonChange
from lifecycle.paging import Page
from lifecycle.people import give_role
from lifecycle.ports import UnitOfWork
from lifecycle.witness import witness
from tests.support.centre import EVERY, Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import spec

NOW = NEW_YEAR_MS
FREE = Held()


def person(uow: UnitOfWork, name: str) -> User:
    user = uow.people.user(name)
    assert user is not None
    return user


def record(kind: str) -> Record:
    return next(one for one in RECORDS if one.kind == kind)


class TestPrivacy:
    def test_entries_are_found_by_the_people_in_them_newest_first(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara").id, person(uow, "sok").id
        entries = [witness(uow.audit, NOW, "act", "/x", {}, {"by": "dara"}).id for _ in range(3)]
        for entry in entries:
            uow.privacy.note(entry, [(dara, "by"), (sok, "about")])
            uow.privacy.note(entry, [(dara, "by")])  # known already
        assert uow.privacy.entries_of(dara, EVERY) == [(entry, "by") for entry in reversed(entries)]
        assert uow.privacy.entries_of(sok, Page(entries[1], 10)) == [(entries[0], "about")]
        assert sorted(uow.privacy.entries_naming(dara, 2)) == entries[:2]
        uow.privacy.unname(dara, entries[:2])
        assert uow.privacy.entries_of(dara, EVERY) == [(entries[2], "by")]

    def test_entries_that_nobody_is_noted_for_are_found_by_a_text(self, uow: UnitOfWork) -> None:
        noted, other = (witness(uow.audit, NOW, "act", "/x", {}, {"by": "o%k"}) for _ in "ab")
        witness(uow.audit, NOW, "act", "/x", {}, {"by": "ok"})
        uow.privacy.note(noted.id, [(1, "by")])
        assert [one.id for one in uow.privacy.entries_unnoted("o%k", Page(None, 10))] == [other.id]
        assert uow.privacy.entries_unnoted("o%k", Page(other.id, 10)) == []

    def test_corrections_are_kept_in_order(self, uow: UnitOfWork) -> None:
        for number in (1, 2):
            uow.privacy.add_change(PersonChange(0, 2, "title", b"%d" % number, NOW, 1))
        assert [(one.sealed, one.by_id) for one in uow.privacy.changes_of(2)] == [(b"1", 1), (b"2", 1)]
        assert uow.privacy.changes_of(1) == []

    def test_a_hold_is_lifted_once(self, uow: UnitOfWork) -> None:
        hold = uow.privacy.add_hold(LegalHold(0, 2, None, "a case", 1, NOW))
        assert uow.privacy.lift_hold(hold.id, 1, NOW + 1)
        assert not uow.privacy.lift_hold(hold.id, 3, NOW + 2)
        assert uow.privacy.holds() == [replace(hold, lifted_ms=NOW + 1, lifted_by=1)]

    def test_what_was_swept_is_told_newest_first(self, uow: UnitOfWork) -> None:
        for number in range(3):
            uow.privacy.add_sweep(NOW + number, {"token": number})
        (newest, at_ms, removed), *_ = uow.privacy.sweeps(Page(None, 2))
        assert (at_ms, dict(removed)) == (NOW + 2, {"token": 2})
        assert len(uow.privacy.sweeps(Page(newest, 10))) == 2


class TestCustody:
    def test_rows_are_shown_without_secrets_and_without_others(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara"), person(uow, "sok")
        uow.oversight.add_acting(Acting(0, sok.id, dara.id, "to help", NOW, NOW + 1))
        (token,) = uow.custody.rows(record("tokens"), dara, {})
        assert token["name"] == "test"
        assert "digest" not in token
        (acting,) = uow.custody.rows(record("acting"), dara, {})
        assert (acting["user_id"], acting["for_id"], acting["reason"]) == ("somebody else", "dara", "to help")
        (role,) = uow.custody.rows(record("roles"), dara, dict.fromkeys(range(100), "speech"))
        assert (role["account_id"], role["role"]) == ("speech", "lead")

    def test_rows_are_found_through_the_row_above(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara"), person(uow, "sok")
        for user in (dara, sok):
            (first,) = uow.people.tokens(user.id)
            uow.logins.add_session(Session(first.id, "idp", sid=user.name))
        assert [row["sid"] for row in uow.custody.rows(record("sessions"), dara, {})] == ["dara"]
        assert uow.custody.forget(dara, "erased-0")["sessions"] == 1
        assert [row["sid"] for row in uow.custody.rows(record("sessions"), sok, {})] == ["sok"]

    def test_a_text_of_two_people_is_shown_to_who_wrote_it(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara"), person(uow, "sok")
        uow.privacy.add_hold(LegalHold(0, dara.id, None, "a secret case", sok.id, NOW))
        (held,) = uow.custody.rows(record("legal-holds"), dara, {})
        (set_,) = uow.custody.rows(record("legal-holds"), sok, {})
        assert "reason" not in held
        assert set_["reason"] == "a secret case"

    def test_audit_entries_tell_what_is_about_nobody_else(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara"), person(uow, "sok")
        told = {"by": "sok", "path": "/users/dara", "reason": "why"}
        for people in ([(sok.id, "by"), (dara.id, "about")], [(sok.id, "by")]):
            uow.privacy.note(witness(uow.audit, NOW, "act", "/x", {"a": 1}, told).id, people)
        (about,) = uow.custody.entries(dara)
        assert (about["you"], about["by"], about["path"], about["reason"]) == (["about"], "somebody else", None, "why")
        both, alone = uow.custody.entries(sok)
        assert (both["by"], both["path"], alone["path"], alone["facts"]) == ("sok", None, "/users/dara", {"a": 1})

    def test_unfinished_jobs_are_counted_by_user(self, centre: Centre) -> None:
        centre.submit(spec(command="run 1m"), "dara")
        centre.run()
        centre.submit(spec(command="run 1m"), "dara")
        with centre.store.read() as uow:
            assert uow.custody.unfinished(person(uow, "dara").id) == 1
            assert uow.custody.unfinished(person(uow, "sok").id) == 0

    def test_accounts_have_people_who_belong_there_or_had_a_role_or_a_job(self, centre: Centre) -> None:
        centre.submit(spec(), "sok")
        with centre.store.write() as uow:
            speech, cadt = (uow.directory().by_name[name].id for name in ("speech", "cadt"))
            dara, sok, nary, rith = (person(uow, name) for name in ("dara", "sok", "nary", "rith"))
            uow.people.revoke(dara.id, speech, "lead", NOW)
            uow.people.revoke(sok.id, speech, "member", NOW)
            uow.people.save_user(replace(nary, tenant_id=cadt))
            assert uow.custody.people_of(frozenset({speech})) == {dara.id, sok.id}
            assert uow.custody.people_of(frozenset({cadt, speech})) >= {dara.id, sok.id, nary.id}
            assert rith.id not in uow.custody.people_of(frozenset({cadt, speech}))
            assert uow.custody.people_of(frozenset()) == frozenset()
            uow.custody.lock(dara.id)

    def test_one_asks_to_be_erased_once_and_may_withdraw(self, uow: UnitOfWork) -> None:
        asked = ErasureRequest(2, NOW, "please")
        assert uow.custody.ask_erasure(asked)
        assert not uow.custody.ask_erasure(replace(asked, reason="again"))
        assert uow.custody.erasure_requests(EVERY) == [asked]
        assert uow.custody.erasure_requests(Page(2, 10)) == []
        assert uow.custody.withdraw_erasure(2)
        assert not uow.custody.withdraw_erasure(2)

    def test_rules_of_retention_are_in_the_order_in_which_they_take_over(self, uow: UnitOfWork) -> None:
        late, early = (RetentionRule(0, NOW + at, {"audit": {"days": 1}}, 1, "a law", NOW) for at in (9, 3))
        made = [uow.custody.add_retention_rule(rule) for rule in (late, early)]
        assert uow.custody.retention_rules() == [made[1], made[0]]

    def test_entries_are_found_by_words(self, uow: UnitOfWork) -> None:
        entries = [witness(uow.audit, NOW, "act", "/x", {}, {"reason": text}).id for text in ("so%k", "sok", "x")]
        assert uow.custody.entries_naming(["so%k", "sok"], 10) == [entries[1], entries[0]]
        assert uow.custody.entries_naming(["so%k"], 1) == [entries[0]]
        assert uow.custody.entries_naming([], 10) == []

    def test_how_far_a_run_came_is_kept(self, uow: UnitOfWork) -> None:
        assert uow.custody.mark("x") == 0
        for value in (7, 3):
            uow.custody.set_mark("x", value)
            assert uow.custody.mark("x") == value

    def test_ended_attempts_are_listed_in_order_with_whose_they_are(self, centre: Centre) -> None:
        jobs = [centre.submit(spec(command="run 1m", outputs=("*",)), user) for user in ("dara", "sok")]
        centre.run()
        with centre.store.write() as uow:
            first, second = uow.custody.leftovers(0, 10)
            assert [first.attempt, second.attempt] == [AttemptId(job.id, None, 1) for job in jobs]
            assert (first.user_id, first.ended_ms is None) == (person(uow, "dara").id, False)
            assert uow.custody.leftovers(first.row, 10) == [second] == uow.custody.leftovers_of(second.user_id, 0, 10)
            assert uow.custody.leftovers_of(second.user_id, second.row, 10) == []
            assert uow.custody.drop_outputs([second.row]) == 0
        assert centre.job(jobs[0].id).state is JobState.SUCCEEDED

    def test_sources_go_when_nobody_starts_from_them_any_more(self, centre: Centre) -> None:
        old, used, new = ("a" * 64, "b" * 64, "c" * 64)
        with centre.store.write() as uow:
            for sha256, at_ms in ((old, NOW), (used, NOW), (new, NOW), (new, NOW + DAY_MS)):
                uow.keep_source(sha256, 1, at_ms)
        centre.submit(replace(spec(), source=used))
        with centre.store.write() as uow:
            assert uow.custody.old_sources(NOW + 1, 10) == [old]
            assert uow.custody.known_sources([old, "d" * 64]) == {old}
            assert uow.custody.drop_sources([old]) == 1
            assert not uow.has_source(old)
            assert uow.has_source(new)


class TestDue:
    """What is old enough, by class: found, removed, and nothing that a hold covers."""

    def test_tokens_that_ended(self, uow: UnitOfWork) -> None:
        user = person(uow, "nary")
        (live,) = uow.people.tokens(user.id)
        ended = {
            "revoked": replace(live, revoked_ms=NOW),
            "expired": replace(live, expires_ms=NOW),
            "idle": replace(live, idle_ms=5, last_used_ms=NOW - 5, kind=TokenKind.SESSION),
        }
        made = [uow.people.add_token(token, name.encode()) for name, token in ended.items()]
        uow.people.add_token(replace(live, idle_ms=5, last_used_ms=NOW), b"in use")
        uow.logins.add_session(Session(made[2].id, "idp"))
        rows = uow.custody.due(Keep.TOKEN, NOW + 1, FREE, 10)
        assert rows == [token.id for token in made]
        assert uow.custody.due(Keep.TOKEN, NOW + 1, FREE, 2) == rows[:2]
        assert uow.custody.due(Keep.TOKEN, NOW, FREE, 10) == []
        assert uow.custody.sweep(Keep.TOKEN, rows) == 3
        assert len(uow.people.tokens(user.id)) == 2

    def test_logins_of_devices_corrections_and_leaves_to_act(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara").id, person(uow, "sok").id
        uow.logins.add_device(DeviceLogin(0, "A", "cli", "::1", NOW - 9, NOW - 1, 5), b"a")
        uow.privacy.add_change(PersonChange(0, dara, "title", b"", NOW - 1, sok))
        uow.oversight.add_acting(Acting(0, sok, dara, "x", NOW - 9, NOW + 9, ended_ms=NOW - 1))
        uow.oversight.add_acting(Acting(0, sok, dara, "x", NOW - 9, NOW + 9))
        for keep in (Keep.ATTEMPT, Keep.CHANGE, Keep.ACTING):
            (row,) = uow.custody.due(keep, NOW, FREE, 10)
            for held in (dara, sok):
                kept = [] if keep is not Keep.ATTEMPT else [row]
                assert uow.custody.due(keep, NOW, Held(users=frozenset({held})), 10) == kept
            assert uow.custody.due(keep, NOW, Held(everything=True), 10) == []
            assert uow.custody.sweep(keep, [row]) == 1
            assert uow.custody.due(keep, NOW, FREE, 10) == []

    def test_who_and_why_of_entries(self, uow: UnitOfWork) -> None:
        dara = person(uow, "dara").id
        entry = witness(uow.audit, NOW - 1, "act", "/x", {}, {"by": "dara"})
        witness(uow.audit, NOW - 1, "act", "/x", {})  # of nobody
        uow.privacy.note(entry.id, [(dara, "by")])
        assert uow.custody.due(Keep.AUDIT, NOW, Held(users=frozenset({dara})), 10) == []
        assert uow.custody.due(Keep.AUDIT, NOW, Held(accounts=frozenset({1})), 10) == []
        assert uow.custody.due(Keep.AUDIT, NOW, FREE, 10) == [entry.id]
        assert uow.custody.sweep(Keep.AUDIT, [entry.id]) == 1
        left = uow.audit.get(entry.id)
        assert left is not None
        assert (left.personal, left.salt, left.commitment) == (None, None, entry.commitment)
        assert uow.privacy.entries_of(dara, EVERY) == []

    def test_who_waits_and_never_came_back(self, uow: UnitOfWork) -> None:
        made = [
            uow.people.add_user(User(0, name, name, state=UserState.WAITING, created_ms=at_ms))
            for name, at_ms in (("old", NOW - 9), ("new", NOW), ("back", NOW - 9))
        ]
        uow.logins.add_identity(Identity(0, made[2].id, "https://i", "s", "p", NOW - 9, NOW))
        assert uow.custody.due(Keep.WAITING, NOW, FREE, 10) == [made[0].id]
        assert uow.custody.due(Keep.WAITING, NOW, Held(users=frozenset({made[0].id})), 10) == []

    def test_answers_and_what_was_spent(self, uow: UnitOfWork) -> None:
        dara, sok = person(uow, "dara").id, person(uow, "sok").id
        for user in (dara, sok):
            uow.once.keep(user, "k", b"", 200, b"", NOW - 1)
        uow.once.keep(dara, "new", b"", 200, b"", NOW)
        assert uow.custody.sweep_answers(NOW, Held(everything=True), 10) == 0
        assert uow.custody.sweep_answers(NOW, Held(users=frozenset({sok})), 10) == 1
        assert uow.custody.sweep_answers(NOW, FREE, 10) == 1
        assert uow.once.find(dara, "new") is not None
        assert uow.logins.spend(b"x", NOW - 1)
        assert (uow.custody.sweep_spent(NOW, 10), uow.custody.sweep_spent(NOW, 10)) == (1, 0)

    def test_notices_of_allocations_that_are_over(self, centre: Centre) -> None:
        with centre.database.connect(writes=True) as connection:
            connection.exec_driver_sql("UPDATE allocation SET ends_ms = 5 WHERE id = 1")
            for allocation in (1, 2):
                connection.exec_driver_sql(
                    "INSERT INTO notice (allocation_id, kind, about, at_ms, facts) "
                    f"VALUES ({allocation}, 'used', 'x', 1, '{{}}')"
                )
        with centre.store.write() as uow:
            project = centre.population.projects["speech"]
            give_role(uow, "nary", "speech", "member", 1)
            (row,) = uow.custody.due(Keep.NOTICE, 6, FREE, 10)
            assert uow.custody.due(Keep.NOTICE, 6, Held(accounts=frozenset({project})), 10) == []
            assert uow.custody.sweep(Keep.NOTICE, [row]) == 1
            assert uow.custody.due(Keep.NOTICE, 2**60, FREE, 10) == [row + 1]
