"""``python -m tests.mutants [--only N]``: each promise's tests must catch its seeded mutants.

A mutant is one small change of the code that protects a promise. It is made in a copy of the tree, and the tests that
hold the promise run there and must fail.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_TIMEOUT_S = 300


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` stands once in ``file`` and becomes ``new``; ``tests`` are the ones that must notice."""

    promise: int
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = (
    Mutant(
        1, "an accepted job is not committed", "store/unit_of_work.py",
        "        with translated(), self._turn, self._writer.connect() as connection, connection.begin():\n"
        "            yield self._unit(connection)\n",
        "        with translated(), self._turn, self._writer.connect() as connection, connection.begin() as t:\n"
        "            yield self._unit(connection)\n            t.rollback()\n",
        ("tests/store/test_transactions.py", "tests/lifecycle/test_restarts.py"),
    ),
    Mutant(
        1, "a failed transaction is committed half done", "store/unit_of_work.py",
        "        with translated(), self._turn, self._writer.connect() as connection, connection.begin():\n"
        "            yield self._unit(connection)\n",
        "        with translated(), self._turn, self._writer.connect() as connection, connection.begin() as t:\n"
        "            try:\n                yield self._unit(connection)\n"
        "            except Exception:\n                t.commit()\n                raise\n",
        ("tests/store/test_transactions.py",),
    ),
    Mutant(
        1, "a job that waited for its dispatch is forgotten", "lifecycle/dispatch.py",
        "_DISPATCHING = frozenset({AttemptState.DISPATCHING})",
        "_DISPATCHING = frozenset({AttemptState.LOST})",
        ("tests/lifecycle/test_restarts.py",),
    ),
    Mutant(
        1, "a repeated submission makes a second job", "api/http/repeats.py",
        "        if found is None:\n            return None\n", "        if found or not found:\n            return None\n",
        ("tests/api/test_idempotency.py",),
    ),
    Mutant(
        2, "a cancellation is overwritten by what a step has read before", "store/attempts.py",
        'AttemptRow.state == bindparam("old"))', 'bindparam("old") != "")',
        ("tests/store/test_transactions.py",),
    ),
    Mutant(
        2, "an old leader may write", "store/leases.py",
        "        if newest != epoch:", "        if newest is None:",
        ("tests/lifecycle/test_one_attempt.py",),
    ),
    Mutant(
        2, "a task that runs may be started again", "lifecycle/schedule.py",
        "            if task is None or task.state is not JobState.PENDING:",
        "            if task is None:",
        ("tests/lifecycle/test_one_attempt.py",),
    ),
    Mutant(
        2, "a live index that holds nothing", "store/migrations/versions/0001_first_schema.py",
        "batch_op.create_index('uq_attempt_live', ['job_id', 'task_index'], unique=True",
        "batch_op.create_index('uq_attempt_live', ['job_id', 'task_index'], unique=False",
        ("tests/lifecycle/test_one_attempt.py",),
    ),
    Mutant(
        2, "what half a sight does not show has vanished", "lifecycle/lost.py",
        "        whole = sight is not None and sight.whole and sight.silent_ms is None\n",
        "        whole = sight is not None\n",
        ("tests/lifecycle/test_lost.py",),
    ),
    Mutant(
        2, "a job that may run once is given up and run again", "lifecycle/lost.py",
        "        if jobs[one.id.job].spec.restartable:\n", "        if jobs:\n",
        ("tests/lifecycle/test_lost.py",),
    ),
    Mutant(
        2, "a task starts beside what is left of its earlier attempt", "lifecycle/dispatch.py",
        "            if attempt.cluster in drivers and attempt.id.task not in haunted\n",
        "            if attempt.cluster in drivers\n",
        ("tests/lifecycle/test_lost.py",),
    ),
    Mutant(
        2, "a member that was told to stop runs with its bundle", "lifecycle/dispatch.py",
        "            skipped = frozenset(one.id for one in found if one.state is not AttemptState.DISPATCHING)\n",
        "            skipped = frozenset[AttemptId]()\n",
        ("tests/lifecycle/test_bundles.py",),
    ),
    Mutant(
        2, "who no longer leads goes on starting", "lifecycle/hands.py",
        "        if resting or not self._leads():\n", "        if resting:\n",
        ("tests/lifecycle/test_hands.py",),
    ),
    Mutant(
        2, "a cluster that was not looked at yet proves that nothing runs", "k8s/driver.py",
        "        return self._monotonic() > self._certain_from and self.eyes.synced and not self._starter.uncertain\n",
        "        return True\n",
        ("tests/acceptance/test_thousand_kills.py",),
    ),
    Mutant(
        2, "what an earlier driver sent is taken for arrived", "k8s/driver.py",
        "        return self._monotonic() > self._certain_from and self.eyes.synced and",
        "        return self.eyes.synced and",
        ("tests/k8s/test_at_most_once.py",),
    ),
    Mutant(
        2, "a start that is repeated has another name on the cluster", "k8s/start.py",
        "                return self._client.create(path, made.body,",
        '                made.body["metadata"]["name"] += f"-{time.monotonic_ns()}"\n'
        "                return self._client.create(path, made.body,",
        ("tests/acceptance/test_thousand_kills.py",),
    ),
    Mutant(
        2, "whatever has the name is taken for one's own", "k8s/start.py",
        "    return labels.get(names.ORIGIN) == origin and annotations.get(names.SPEC) == made.spec_hash\n",
        "    return bool(labels or annotations or origin)\n",
        ("tests/k8s/test_at_most_once.py",),
    ),
    Mutant(
        2, "a task that its bundle skips counts as succeeded", "k8s/manifests/wrapper.py",
        "    exit 143 ;;", "    exit 0 ;;",
        ("tests/k8s/test_kinds.py::test_skipped_members_do_not_run",),
    ),
    Mutant(
        3, "what is lost is freed", "lifecycle/lost.py",
        "    return Observation(attempt.id, AttemptState.LOST, detail=detail)",
        "    return Observation(attempt.id, AttemptState.VANISHED, detail=detail)",
        ("tests/lifecycle/test_lost.py",),
    ),
    Mutant(
        3, "the planner looks at the project's own quota alone", "domain/accounts.py",
        "        for key in self.counted(account_id, flavor):\n", "        for key in self.counted(account_id, flavor)[:1]:\n",
        ("tests/scheduler/test_plan_properties.py", "tests/lifecycle/test_limits_hold.py"),
    ),
    Mutant(
        3, "the planner spends what is not there", "scheduler/gates.py",
        "        if terms.hold > left:", "        if terms.hold < 0:",
        ("tests/scheduler/test_plan_properties.py",),
    ),
    Mutant(
        3, "what starts takes what is booked", "scheduler/desk.py",
        "        if not bookings.kept:\n            nodes =", "        if bookings:\n            nodes =",
        ("tests/scheduler/test_promises.py::test_no_node_is_given_twice_now_or_later",),
    ),
    Mutant(
        3, "a device that is taken is given again", "store/fleet.py",
        "device.attempt_id IS NULL AND device.present", "device.present",
        ("tests/store/test_ports.py", "tests/lifecycle/test_limits_hold.py"),
    ),
    Mutant(
        3, "a grant's last SU are given to all who ask at once", "store/ledger.py",
        "rows = self.connection.execute(statement.with_for_update() if lock else statement)",
        "rows = self.connection.execute(statement)",
        ("tests/lifecycle/test_limits_hold.py",),
    ),
    Mutant(
        4, "an instalment is released twice", "lifecycle/effects.py",
        "    if due.released_ms is not None:", "    if due.number < 1:",
        ("tests/lifecycle/test_changes.py", "tests/lifecycle/test_allocation_races.py"),
    ),
    Mutant(
        8, "one approves their own request", "lifecycle/allocations.py",
        "    if asked.requested_by == caller.user.id:", "    if asked.requested_by is None:",
        ("tests/lifecycle/test_requests.py",),
    ),
    Mutant(
        8, "an allocator decides for a project of their own", "lifecycle/impartial.py",
        "        if has_part(uow, caller, project_id, now_ms):\n", "        if not caller:\n",
        ("tests/lifecycle/test_requests.py", "tests/lifecycle/test_changes.py"),
    ),
    Mutant(
        3, "two reservations keep the same GPUs", "lifecycle/calendar.py", "    uow.take_turn()\n", "",
        ("tests/api/test_reservations.py",),
    ),
    Mutant(
        3, "a reservation is held against what others kept before", "store/unit_of_work.py",
        "        self._connection.execute(_TURN)\n        self._connection.info.pop(DIRECTORY, None)\n        self._connection.info.pop(STAMP, None)\n",
        "        self._connection.execute(_TURN)\n",
        ("tests/api/test_reservations.py",),
    ),
    Mutant(
        4, "what runs past the walltime is charged too", "quotas/charging.py",
        "    return Settled(min(attempt.hold, owed), gpu_ms(attempt.milli, until_ms - started_ms))",
        "    return Settled(owed, gpu_ms(attempt.milli, until_ms - started_ms))",
        ("tests/quotas/test_ledger.py", "tests/lifecycle/test_metering.py"),
    ),
    Mutant(
        4, "a vanished attempt is charged for time in which nobody saw it", "lifecycle/observe.py",
        "            ended_ms = attempt.metered_ms or attempt.started_ms or self.now_ms",
        "            ended_ms = self.now_ms",
        ("tests/lifecycle/test_ends.py",),
    ),
    Mutant(
        4, "the remainder of a split is lost", "domain/purses.py",
        "    for i in by_remainder[: amount - sum(parts)]:", "    for i in by_remainder[:0]:",
        ("tests/quotas/test_ledger.py",),
    ),
    Mutant(
        3, "a grant for one flavor pays for another", "domain/purses.py",
        "        if self.flavors and flavor not in self.flavors:\n            return False\n", "",
        ("tests/quotas/test_money.py",),
    ),
    Mutant(
        3, "the commit forgets what a grant is for", "lifecycle/schedule.py",
        "        parts = split_hold(start.hold, purses, start.flavor, job.spec.constraint.classification)",
        "        parts = split_hold(start.hold, [replace(p, conditions=type(p.conditions)()) for p in purses], start.flavor, None)",
        ("tests/lifecycle/test_money.py",),
    ),
    Mutant(
        4, "what is given back of a grant in money is rounded by itself", "quotas/exchange.py",
        "    return bargain.kept(bargain.out) - bargain.kept(bargain.out - micro_su)",
        "    return bargain.kept(micro_su)",
        ("tests/quotas/test_money.py",),
    ),
    Mutant(
        4, "each slice is rounded alone", "quotas/ledger.py",
        "    old, new = largest_remainder(before, weights), largest_remainder(after, weights)\n"
        "    return [b - a for a, b in zip(old, new, strict=True)]",
        "    return largest_remainder(after - before, weights)",
        ("tests/quotas/test_ledger.py",),
    ),
    Mutant(
        4, "what was not used is not given back", "lifecycle/charge.py",
        "        self.postings.append(ledger.release(name, attempt.parts, settled, over_ms))\n", "",
        ("tests/lifecycle/test_metering.py",),
    ),
    Mutant(
        4, "past use is charged and not measured", "lifecycle/report.py",
        "        found[flavor] = found.get(flavor, 0) + gpu_ms\n", "        found[flavor] = found.get(flavor, 0)\n",
        ("tests/imports/test_deeds.py",),
    ),
    Mutant(
        4, "a past run counts at another time than it was measured", "quotas/brought.py",
        "Transaction(name, KIND, ended_ms - 1, entries)", "Transaction(name, KIND, ended_ms, entries)",
        ("tests/imports/test_deeds.py",),
    ),
    Mutant(
        4, "an import is applied that was not rehearsed", "lifecycle/imports/rehearse.py",
        "    if digest != name:\n", "    if not digest:\n",
        ("tests/imports/test_deeds.py",),
    ),
    Mutant(
        4, "an allocation is brought along again", "lifecycle/imports/plan.py",
        "if (before := there.things.get(budget.key)) is not None:", "if (before := there.things.get('')) is not None:",
        ("tests/imports/test_deeds.py",),
    ),
    Mutant(
        5, "pending jobs are taken in whatever order they come", "scheduler/queue.py",
        "        if not self.order or (order, job_id) > (self.order[-1], self.ids[-1]):\n            return",
        "        if order:\n            return",
        ("tests/scheduler/test_same_plan.py",),
    ),
    Mutant(
        5, "a report's lines come as the database has them", "lifecycle/report.py",
        "        for key in sorted(rows)\n", "        for key in rows\n",
        ("tests/lifecycle/test_same_report.py",),
    ),
    Mutant(
        5, "who came at the same moment goes first by chance", "scheduler/order.py",
        "        return self.lane.order[self.at], self.lane.ids[self.at]", "        return self.lane.order[self.at], 0",
        ("tests/scheduler/test_same_plan.py",),
    ),
    Mutant(
        6, "those whom a guarantee covers ask nobody to make way", "scheduler/desk.py",
        'policy.reclaim if cause == "guarantee"', 'not entitled if cause == "guarantee"',
        ("tests/scheduler/test_promises.py::test_a_guarantee_is_met_within_one_cycle_and_the_grace_period",),
    ),
    Mutant(
        1, "a note that commits after a later one is missed", "lifecycle/mirror.py",
        "for note, job_id in notes.items() if note not in self.taken}",
        "for note, job_id in notes.items() if note > max(self.taken, default=0)}",
        ("tests/lifecycle/test_mirror.py",),
    ),
    Mutant(
        6, "what is to make way is not told to stop", "lifecycle/preempt.py",
        "    uow.attempts.save(told)\n",
        "",
        ("tests/lifecycle/test_preempt.py",),
    ),
    Mutant(
        6, "who is within a guarantee makes way for another's", "scheduler/preempt.py",
        "                if held <= quota.guaranteed:", "                if held < 0:",
        ("tests/scheduler/test_promises.py::test_a_guarantee_is_met_within_one_cycle_and_the_grace_period",),
    ),
    Mutant(
        6, "a share is restored though the order turns by it", "scheduler/preempt.py",
        " - self._refund(victim)\n        uses", "\n        uses",
        ("tests/scheduler/test_cycle.py::test_a_fair_share_is_not_restored_where_the_refund_would_turn_the_order",),
    ),
    Mutant(
        6, "a tenant's ceiling keeps a guarantee from being restored", "scheduler/desk.py",
        "            self._reclaim_quota(turns, front)\n", "            turns.done(front, 0, through=True)\n",
        ("tests/scheduler/test_cycle.py::test_a_guarantee_is_restored_against_siblings_at_their_tenants_ceiling",),
    ),
    Mutant(
        7, "a wide job does not keep its place", "scheduler/desk.py",
        "        self.bookings.book(ask, slot, walltime_ms, job.job_id)\n", "",
        ("tests/scheduler/test_promises.py::test_nothing_that_starts_later_delays_a_booking",),
    ),
    Mutant(
        7, "patience has no end", "scheduler/cycle.py",
        "front.lane.submitted[front.at] <= since_ms", "front.lane.submitted[front.at] < 0",
        ("tests/scheduler/test_promises.py::test_every_job_starts_within_a_bound_that_is_known_when_it_is_submitted",),
    ),
    Mutant(
        7, "an end goes unseen by who begins to wait for it", "lifecycle/control.py",
        "    uow.dependencies.take_turn()\n    job = job_of(uow, task_id)\n", "    job = job_of(uow, task_id)\n",
        ("tests/lifecycle/test_dependencies.py",),
    ),
    Mutant(
        7, "who waits for what can never be waits for ever", "lifecycle/refresh.py",
        "    while wave:\n", "    while False:\n",
        ("tests/lifecycle/test_dependencies.py",),
    ),
    Mutant(
        8, "who guesses finds out what is there", "api/http/call.py",
        "        if not all(who.roles.get(centre) for who in self.people):\n", "        if not self.people:\n",
        ("tests/api/test_forged.py::test_nobody_finds_out_by_guessing_what_is_there",),
    ),
    Mutant(
        8, "a trailer passes for a header", "runtime/protocol.py",
        "        if not self._in_head:\n            return\n        super().on_header", "        super().on_header",
        ("tests/runtime/test_protocol.py::test_a_trailer_becomes_no_header",),
    ),
    Mutant(
        8, "a title may read otherwise than it is written", "lifecycle/words.py",
        "unseen.search(text) or _TURNS.search(text)", "unseen.search(text)",
        ("tests/api/test_forged.py::test_nothing_that_others_read_reads_otherwise_than_it_is_written",),
    ),
    Mutant(
        8, "what is another's is told to be there", "api/http/call.py",
        "            if any(who.roles.get(above) for above in path):\n", "            if path:\n",
        ("tests/api/test_roles.py",),
    ),
    Mutant(
        9, "a step that fails keeps the others from their work", "runtime/controller.py",
        "            fine = self._step(name, step) and fine\n", "            fine = fine and self._step(name, step)\n",
        ("tests/runtime/test_controller.py",),
    ),
    Mutant(
        8, "a head is signed over the wrong root", "lifecycle/seal.py",
        "        root, number, at_ms = grown.root(), 1,", "        root, number, at_ms = grown.roots[0], 1,",
        ("tests/lifecycle/test_seal.py",),
    ),
    Mutant(
        8, "a changed reason is not noticed", "quotas/leaves.py",
        "        if commitment(self.salt, self.personal) != self.commitment:", "        if self.commitment is None:",
        ("tests/lifecycle/test_verify.py::test_a_changed_reason_is_noticed",),
    ),
    Mutant(
        8, "a row that was slipped in is not looked for", "lifecycle/verify.py",
        "        for stray in self.uow.seals.strays():", "        for stray in self.uow.seals.strays()[:0]:",
        ("tests/lifecycle/test_verify.py::test_a_row_that_is_slipped_in_is_found",),
    ),
    Mutant(
        8, "a head is believed whoever signed it", "lifecycle/verify.py",
        "        if not self.signed_by(key.public, head.signature,", "        if not self.signed_by and not (head.signature,",
        ("tests/lifecycle/test_verify.py::test_an_altered_value_is_found",),
    ),
    Mutant(
        8, "a narrowed token opens everything", "domain/people.py",
        "        return self.token.scopes is None or permission in", "        return True or permission in",
        ("tests/api/test_tokens.py::test_a_narrowed_token_opens_the_routes_of_its_scopes_alone",),
    ),
    Mutant(
        8, "a token for an account is one for all", "domain/people.py",
        "        if self.token.account_id is not None and self.token.account_id not in path:", "        if not path:",
        ("tests/api/test_tokens.py::test_a_token_for_an_account_reaches_no_other",),
    ),
    Mutant(
        8, "a narrowed token makes a wider one", "lifecycle/tokens.py",
        "    if own.scopes is not None and not wanted <= own.scopes:", "    if own.scopes is not None and not wanted:",
        ("tests/api/test_tokens.py::test_a_token_makes_no_wider_one",),
    ),
    Mutant(
        8, "a service may what its owner may not", "domain/people.py",
        "        if self.owner_roles is not None and not allows(", "        if self.owner_roles is not None and allows(Permission.POD, frozenset()) and not allows(",
        ("tests/api/test_admission.py::test_a_service_works_where_its_owner_may_and_decides_nothing",),
    ),
    Mutant(
        8, "a program decides what takes a person", "domain/people.py",
        "        if self.user.kind is UserKind.SERVICE and permission in FOR_PEOPLE:", "        if not permission:",
        ("tests/api/test_admission.py::test_no_service_does_what_takes_a_person_whatever_its_roles",),
    ),
    Mutant(
        8, "who is suspended stays in", "store/people.py",
        "        if over or idle or first.state not in _ALIVE or first.owner_state", "        if over or idle or first.owner_state",
        ("tests/api/test_admission.py::test_who_is_suspended_is_out_at_the_next_request",),
    ),
    Mutant(
        8, "focal points see everybody", "api/http/routes/admissions.py",
        "    if user is None or (tenants is not None and user.tenant_id not in tenants):", "    if user is None:",
        ("tests/api/test_admission.py::test_focal_points_see_and_admit_those_of_their_tenant",),
    ),
    Mutant(
        8, "a locked password is still tried", "lifecycle/passwords.py",
        "    if now.locked_ms is not None and now.locked_ms > now_ms:", "    if now.locked_ms is not None and not now_ms:",
        ("tests/lifecycle/test_passwords.py::test_each_further_failure_locks_for_twice_as_long",),
    ),
    Mutant(
        8, "who is not there is told sooner", "lifecycle/passwords.py",
        "    right = hasher.verify(None if kept is None else kept.hash, password)",
        "    right = kept is not None and hasher.verify(kept.hash, password)",
        ("tests/lifecycle/test_passwords.py::test_a_failure_tells_nothing_and_takes_the_same_work",),
    ),
    Mutant(
        8, "a device code is claimed again and again", "lifecycle/devices.py",
        "device.state is DeviceState.CLAIMED or ", "",
        ("tests/lifecycle/test_devices.py::test_a_device_code_is_worth_one_token",),
    ),
    Mutant(
        8, "any token approves a device", "lifecycle/devices.py",
        "    if token.kind is not TokenKind.SESSION or caller.acting_by", "    if caller.acting_by",
        ("tests/lifecycle/test_devices.py::test_only_a_person_approves_in_a_session_of_their_own",),
    ),
    Mutant(
        8, "a change leaves no audit entry", "api/http/guard.py",
        "    if told.entry and not call.rehearsed:\n", "    if call.rehearsed:\n",
        ("tests/api/test_trail.py::test_an_entry_says_who_did_what_to_which_and_why",),
    ),
    Mutant(
        8, "what people do with their own jobs leaves no audit entry", "api/http/guard.py",
        "    if told.entry and not call.rehearsed:", "    if told.entry and (call.on_behalf or not told.path.startswith('/jobs')):",
        ("tests/api/test_trail.py::test_acting_on_ones_own_job_leaves_an_entry_and_on_anothers_says_whose",),
    ),
    Mutant(
        8, "an entry's before is not of the thing", "api/http/guard.py",
        "    before = None if view is None else _state(call, view, arguments)\n", "    before = b'{}'\n",
        ("tests/api/test_trail.py::test_whoever_has_the_salt_and_what_was_shown_can_tell_before_and_after",),
    ),
    Mutant(
        8, "who is erased stays in the audit trail", "lifecycle/trail.py",
        "        uow.audit.erase(found)\n        uow.privacy.unname", "        uow.privacy.unname",
        ("tests/lifecycle/test_trail.py::test_a_person_is_erased_from_every_entry_that_names_them",),
    ),
    Mutant(
        8, "one's log tells what others are told", "lifecycle/trail.py",
        '    told = personal if personal.get("by") == name or {"for", "about"} & set(how) else {}', "    told = personal",
        ("tests/lifecycle/test_trail.py::test_the_log_of_a_person_says_who_acted_for_them_and_nothing_of_others",),
    ),
    Mutant(
        8, "a dated rule is not held against the trail", "store/kept.py",
        "        if wrong is not None:\n", "        if wrong is None and not then:\n",
        ("tests/store/test_kept.py::test_every_column_of_every_such_row_is_held_against_the_trail",),
    ),
    Mutant(
        8, "an export tells names that nobody asked for", "lifecycle/export.py",
        "                if self.personal and entry.personal is not None", "                if entry.personal is not None",
        ("tests/monitoring/test_export.py::test_names_and_reasons_are_in_it_only_if_they_are_asked_for_and_that_is_written_down",),
    ),
    Mutant(
        8, "an export proves entries that are not in the tree", "monitoring/verify/proof.py",
        '    if not included(line["leaf"].encode(), line["index"]', '    if False and not included(line["leaf"].encode(), line["index"]',
        ("tests/monitoring/test_export.py::test_who_makes_the_last_line_fit_is_found_out_by_the_proofs",),
    ),
    Mutant(
        8, "who no longer leads goes on sealing", "lifecycle/seal.py",
        "            uow.leader.check(epoch)\n", "",
        ("tests/lifecycle/test_seal.py::test_who_no_longer_leads_seals_nothing",),
    ),
    Mutant(
        8, "the audit trail can be rewritten", "store/append_only.py",
        '    return f"NEW.personal IS NULL AND NEW.salt IS NULL AND {kept}"', '    return f"TRUE OR {kept}"',
        ("tests/store/test_append_only.py",),
    ),
    Mutant(
        8, "any role will do", "domain/access.py",
        "    return permission in OPEN_TO_ALL or not MATRIX[permission].isdisjoint(roles)",
        "    return permission in OPEN_TO_ALL or bool(roles)",
        ("tests/api/test_roles.py",),
    ),
    Mutant(
        4, "use after a change of the rate is charged at the old one", "quotas/tariffs.py",
        "    if not tariff.later:\n", "    if tariff:\n",
        ("tests/quotas/test_charging.py",),
    ),
    Mutant(
        4, "a slice runs on over the end of a month", "lifecycle/charge.py",
        "        for end_ms in month_ends(from_ms, until_ms):\n", "        for end_ms in month_ends(from_ms, from_ms):\n",
        ("tests/lifecycle/test_charging.py",),
    ),
    Mutant(
        4, "a closed month is posted into", "store/ledger.py",
        "            if directory.closed and (period", "            if not directory.closed and (period",
        ("tests/lifecycle/test_corrections.py",),
    ),
    Mutant(
        4, "a refund by rule is forgotten", "lifecycle/charge.py",
        "        self._give_back()\n", "",
        ("tests/lifecycle/test_charging.py",),
    ),
    Mutant(
        3, "a longer walltime takes no further hold", "lifecycle/extend.py",
        "    _check_limits(directory, job, wanted_ms)\n", "    _check_limits(directory, job, wanted_ms)\n    wanted_ms = walltime_ms\n",
        ("tests/lifecycle/test_extend.py",),
    ),
    Mutant(
        3, "a correction draws on what an allocation has not", "lifecycle/corrections.py",
        "            if owed > left:\n", "            if left > owed:\n",
        ("tests/lifecycle/test_corrections.py",),
    ),
    Mutant(
        8, "a charge is given back by somebody of the project", "lifecycle/impartial.py",
        "\n    if has_part(uow, caller, project_id, now_ms):\n", "\n    if not caller:\n",
        ("tests/lifecycle/test_corrections.py",),
    ),
    Mutant(
        3, "a moved account leaves its holdings behind", "lifecycle/moves.py",
        "    changes = {(one, flavor): -milli for one in left for flavor, milli in carried.items()}\n",
        "    changes: dict[tuple[int, str], int] = {}\n",
        ("tests/lifecycle/test_moves.py",),
    ),
    Mutant(
        3, "the tree changes under a step that goes by it", "store/leases.py",
        "    .with_for_update()\n)\n", "    .with_for_update(of=LeaderRow)\n)\n",
        ("tests/lifecycle/test_moves_race.py",),
    ),
    Mutant(
        3, "a cap on all flavors is not asked for GPUs", "domain/accounts.py",
        "        if self.capped and flavor != CPU_FLAVOR:\n            found +=",
        "        if self.capped and flavor == CPU_FLAVOR:\n            found +=",
        ("tests/domain/test_tree.py", "tests/lifecycle/test_moves.py"),
    ),
    Mutant(
        8, "somebody under a legal hold is erased", "lifecycle/erasure.py", "    check_free(uow, user)\n", "",
        ("tests/lifecycle/test_erasure.py",),
    ),
    Mutant(
        8, "who and why of an erased person's deeds stay", "lifecycle/erasure.py",
        'counts = {"audit": erase_person(uow, user.id, now_ms)}', 'counts = {"audit": 0}',
        ("tests/lifecycle/test_erasure.py",),
    ),
    Mutant(
        8, "variables of an erased person's jobs stay", "store/erasing.py", '        spec.pop("env", None)\n', "",
        ("tests/lifecycle/test_erasure.py",),
    ),
    Mutant(
        8, "what is deleted is not overwritten", "store/engine.py", '        "secure_delete=ON",', '        "secure_delete=OFF",',
        ("tests/lifecycle/test_erasure.py",),
    ),
    Mutant(
        8, "the request that erases somebody names them", "api/http/trail.py",
        '        personal["path"] = subject(path, arguments)\n', "        pass\n", ("tests/api/test_privacy.py",),
    ),
    Mutant(
        8, "hashes of secrets are in the export", "store/dossier.py",
        "    hidden = {field.column for field in record.fields if field.hidden}\n", "    hidden = set[str]()\n",
        ("tests/api/test_privacy.py",),
    ),
    Mutant(
        8, "the export names other people", "store/dossier.py", "return user.name if value == user.id else OTHER",
        "return user.name if value == user.id else value", ("tests/store/test_privacy.py",),
    ),
    Mutant(
        8, "what was corrected lies open", "lifecycle/rectify.py", 'vault.seal(getattr(user, name) or "")',
        '(getattr(user, name) or "").encode()', ("tests/api/test_privacy.py",),
    ),
    Mutant(
        8, "a hold on an account leaves its people out", "lifecycle/holds.py",
        "        users |= uow.custody.people_of(accounts)\n", "        pass\n", ("tests/lifecycle/test_retention.py",),
    ),
    Mutant(
        8, "retention does not look at holds on people", "store/sweeping.py", "    if held.users:\n        if keep is Keep.AUDIT:",
        "    if held.users and keep is Keep.TOKEN:\n        if keep is Keep.AUDIT:", ("tests/lifecycle/test_retention.py",),
    ),
    Mutant(
        8, "retention runs without leading", "lifecycle/retention.py", "        uow.leader.check(epoch)\n        uow.take_turn()\n",
        "        uow.take_turn()\n", ("tests/lifecycle/test_retention.py",),
    ),
    Mutant(
        8, "a person's release opens a gate", "lifecycle/control.py",
        "    if not job.held and names:\n", "    names = ()\n    if not job.held and names:\n",
        ("tests/lifecycle/test_gates.py",),
    ),
    Mutant(
        8, "anybody's acceptance opens the gate for all", "lifecycle/gates.py",
        "self.uow.gates.accepted([user_id]).get(user_id, frozenset())",
        "frozenset[int]().union(*self.uow.gates.accepted(range(100)).values())",
        ("tests/lifecycle/test_gates.py",),
    ),
    Mutant(
        8, "who has no right over X-Road is answered about all tenants", "lifecycle/xroad.py",
        "    if not tenants:\n", "    if not tenants:\n        return None\n    if not tenants:\n",
        ("tests/xroad/test_services.py",),
    ),
    Mutant(
        8, "a right over X-Road to one tenant is one to all", "lifecycle/xroad.py",
        "    mine = above is not None and (tenants is None or above.id in tenants)\n", "    mine = above is not None\n",
        ("tests/xroad/test_services.py",),
    ),
    Mutant(
        8, "X-Road's listener asks for no certificate", "runtime/xroad.py",
        "    context.verify_mode = ssl.CERT_REQUIRED\n", "    context.verify_mode = ssl.CERT_NONE\n",
        ("tests/xroad/test_door.py",),
    ),
    Mutant(
        8, "who asked over X-Road is sealed by name", "lifecycle/xroad.py",
        "    if asked.represented is not None:\n", '    facts["user_id"] = asked.user_id\n    if asked.represented is not None:\n',
        ("tests/xroad/test_services.py",),
    ),
    Mutant(
        8, "a login's answer of another attempt is taken", "api/identity/jwt.py",
        '    if claims.get("nonce") != nonce:\n', "    if not nonce:\n",
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "who the token is for does not count", "api/identity/jwt.py",
        "    if client_id not in audiences or ", "    if ",
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "an expired proof of who somebody is holds on", "api/identity/jwt.py",
        '    if not _number(claims, "exp") > now_s - SKEW_S:\n', '    if not _number(claims, "exp"):\n',
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "a logout token may be an ID token", "api/identity/jwt.py",
        '    if "nonce" in claims:\n', '    if claims.get("nonce") == claims:\n',
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "the userinfo of another person is taken", "api/identity/flow.py",
        'or found["sub"] != claims.get("sub"):', 'or found["sub"] is None:',
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "one provider answers for another", "api/portal/login.py",
        ' or kept["provider"] != provider:', ":",
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "a decision's fresh login may be an old one", "api/identity/flow.py",
        "    if not profile.login_ms or profile.login_ms < attempt.again_ms - SKEW_S * 1_000:\n",
        "    if not profile.login_ms:\n",
        ("tests/identity/test_login.py",),
    ),
    Mutant(
        8, "who is new is admitted at once", "lifecycle/login.py",
        "state=UserState.WAITING", "state=UserState.ACTIVE",
        ("tests/identity/test_login.py",),
    ),
    Mutant(
        8, "suspended users log in", "lifecycle/login.py",
        "    if user.state not in CAN_LOG_IN or ", "    if ",
        ("tests/identity/test_login.py",),
    ),
    Mutant(
        8, "a session from before a login goes on after it", "lifecycle/login.py",
        "    if instead_of is not None:\n", "    if instead_of is None and user.id < 0:\n",
        ("tests/identity/test_login_forged.py",),
    ),
    Mutant(
        8, "forms of other sites are taken", "api/portal/visit.py",
        '            or not hmac.compare_digest(given.encode(errors="replace"), csrf_of(ours).encode())\n', "",
        ("tests/identity/test_login_forms.py",),
    ),
    Mutant(
        8, "pages for who is logged in are shown to all", "api/portal/app.py",
        "    if access is Access.SESSION and visit.caller is None:\n", "    if access is Access.MESSAGE:\n",
        ("tests/identity/test_login_forms.py",),
    ),
    Mutant(
        8, "a login leads outside", "api/portal/visit.py",
        'or path.startswith("//") or ', "or ",
        ("tests/identity/test_login_forms.py", "tests/identity/test_login_mapping.py"),
    ),
    Mutant(
        8, "the end of any domain is a tenant's", "api/identity/mapping.py",
        "            return any(text.endswith(self.values) for text in found)\n",
        "            return any(value[1:] in text for value in self.values for text in found)\n",
        ("tests/identity/test_login_mapping.py",),
    ),
    Mutant(
        8, "who asked is their own second person", "lifecycle/oversight.py",
        "    if own:\n        raise NotAllowed(", "    if own and not own:\n        raise NotAllowed(",
        ("tests/oversight/test_approvals.py",),
    ),
    Mutant(
        8, "the second person needs no permission of their own", "api/http/call.py",
        "(self.caller,) if self.approver is None else (self.caller, self.approver)", "(self.caller,)",
        ("tests/oversight/test_approvals.py",),
    ),
    Mutant(
        8, "what was decided is decided again", "lifecycle/oversight.py",
        "    if state is not ApprovalState.WAITING:\n", "    if state is ApprovalState.EXPIRED:\n",
        ("tests/oversight/test_approvals.py",),
    ),
    Mutant(
        8, "large decisions take one person", "api/http/two.py",
        "    if amount is None or amount > limit:\n        return True\n", "    if amount:\n        return False\n",
        ("tests/oversight/test_approvals.py",),
    ),
    Mutant(
        8, "a large decision in small parts takes one person", "api/http/two.py",
        "    return amount + moved_alone(call.uow, call.caller.user, fact, call.now_ms) > limit\n", "    return False\n",
        ("tests/oversight/test_attacks.py::test_many_small_parts_are_one_large_one",),
    ),
    Mutant(
        8, "small parts at once are not added up", "lifecycle/alone.py", "    uow.people.lock(person)\n", "",
        ("tests/oversight/test_attacks.py::test_two_parts_at_once_are_added_up_too",),
    ),
    Mutant(
        8, "the last administrator may go", "lifecycle/people.py",
        "    if whole and not uow.people.holders(", "    if not whole and not uow.people.holders(",
        ("tests/oversight/test_approvals.py",),
    ),
    Mutant(
        8, "support does for a user whatever they may", "domain/people.py",
        "self.acting_by is not None and permission not in ACTABLE", "self.acting_by is not None and not permission",
        ("tests/oversight/test_acting.py",),
    ),
    Mutant(
        8, "support logs a user out", "api/http/guard.py",
        "caller.acting_by is not None and permission not in ACTABLE_CHANGES", "caller.acting_by is not None and not permission",
        ("tests/oversight/test_acting.py",),
    ),
    Mutant(
        8, "support acts beyond its accounts", "domain/people.py",
        "self.acting_by is not None and self.at.isdisjoint(path)", "self.acting_by is not None and not path",
        ("tests/oversight/test_acting.py",),
    ),
    Mutant(
        8, "a leave to act has no end", "store/oversight.py",
        "ActingRow.until_ms > now_ms).order_by", "ActingRow.until_ms > 0).order_by", ("tests/oversight/test_acting.py",),
    ),
    Mutant(
        8, "old logins decide", "api/http/guard.py",
        "login_ms is None or now_ms - login_ms > step_up_ms", "login_ms is None", ("tests/oversight/test_acting.py",),
    ),
    Mutant(
        8, "a token that lies about is a second person", "api/http/guard.py",
        "    if permission is Permission.APPROVAL_DECIDE and login_ms is None:", "    if permission is Permission.POD and login_ms is None:",
        ("tests/oversight/test_attacks.py::test_a_token_that_no_login_made_approves_nothing",),
    ),
    Mutant(
        8, "old logins decide changes", "api/http/routes/allocations.py",
        "        check_fresh(call.caller, Permission.ALLOCATION_DECIDE,", "        check_fresh(call.caller, Permission.SELF,",
        ("tests/oversight/test_attacks.py::test_changes_that_are_decided_at_once_need_the_fresh_login_too",),
    ),
    Mutant(
        8, "a program is one of two persons", "api/http/pending.py",
        "    if call.caller.user.kind is UserKind.SERVICE:", "    if call.caller.acting_by:",
        ("tests/oversight/test_attacks.py::test_a_program_asks_for_nothing_that_takes_two",),
    ),
    Mutant(
        8, "a program gets any role from one person", "api/http/routes/service_accounts.py",
        "    take_two_for_roles(call, {body.role}, account.name, made.id)\n", "",
        ("tests/oversight/test_attacks.py::test_a_program_gets_a_role_that_takes_two_from_two",),
    ),
    Mutant(
        8, "who hands a program over keeps its tokens", "lifecycle/service_accounts.py",
        "        uow.people.revoke_tokens(service.id, now_ms)\n", "        pass\n",
        ("tests/oversight/test_attacks.py::test_who_hands_a_program_over_keeps_none_of_its_tokens",),
    ),
    Mutant(
        8, "a program's token for who may less", "lifecycle/service_accounts.py",
        "allows(one, roles) and not allows(one, own) for one", "allows(one, roles) and not allows(one, roles) for one",
        ("tests/oversight/test_attacks.py::test_nobody_makes_a_program_a_token_that_may_what_they_may_not",),
    ),
    Mutant(
        8, "a login undoes a suspension of the same moment", "store/people.py",
        "where = (UserRow.id == user.id, UserRow.version == user.version)", "where = (UserRow.id == user.id,)",
        ("tests/oversight/test_attacks.py::test_a_user_who_was_changed_meanwhile_is_not_put_back",),
    ),
    Mutant(
        8, "a narrowed token sets a password", "api/http/routes/admissions.py",
        '    tokens.check_whole(call.caller.token, "a password")\n', "",
        ("tests/oversight/test_attacks.py::test_a_narrowed_token_sets_no_password",),
    ),
    Mutant(
        8, "a device that was approved before is let in after", "store/people.py",
        "values(state=DeviceState.DENIED.value)", "values(state=DeviceState.APPROVED.value)",
        ("tests/lifecycle/test_devices.py::test_a_login_that_was_approved_before_all_logins_ended_is_none",),
    ),
    Mutant(
        8, "a cookie beside the session's is another token", "api/http/rates.py",
        "text = session_text(connection) if given is None", 'text = connection.headers.get("cookie") if given is None',
        ("tests/api/test_rates.py::test_a_session_is_one_token_whatever_cookies_stand_beside_it",),
    ),
    Mutant(
        8, "who and why go in spite of a legal hold", "api/http/routes/audit.py",
        "    check_entry_free(call.uow, entry_id)\n", "",
        ("tests/oversight/test_attacks.py::test_a_legal_hold_keeps_who_and_why_of_entries_too",),
    ),
    Mutant(
        8, "a role that has ended counts", "store/people.py",
        "(row.until_ms is None or row.until_ms > now_ms)", "(row.until_ms is None or row.until_ms > 0)",
        ("tests/oversight/test_approvals.py",),
    ),
    Mutant(
        8, "an officer sees another funder's grants", "api/http/routes/grants.py",
        "own is not None and grant.funder_id not in own", "own is not None and not own", ("tests/oversight/test_funders.py",),
    ),
    Mutant(
        8, "an officer sees what others pay", "api/http/allocations.py",
        "for one in found if not sees_whole(call, one)", "for one in found if not one.id", ("tests/oversight/test_funders.py",),
    ),
    Mutant(
        8, "jobs can read the database", "store/engine.py",
        "                own.chmod(0o600)\n", "                pass\n",
        ("tests/store/test_files.py",),
    ),
    Mutant(
        8, "leave, decide, return", "lifecycle/impartial.py",
        "now_ms - PART_KEPT_MS)", "now_ms)", ("tests/lifecycle/test_requests.py",),
    ),
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--only", type=int, action="append", help="the mutants of this promise alone")
    parser.add_argument("--sample", type=int, help="so many of them alone, by the seed")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000 % 10**6, help="of the sample; printed")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if not options.only or mutant.promise in options.only]
    if options.sample is not None and options.sample < len(chosen):
        print(f"{options.sample} of {len(chosen)} mutants: --sample {options.sample} --seed {options.seed}", flush=True)
        chosen = random.Random(options.seed).sample(chosen, options.sample)
    survived = 0
    with tempfile.TemporaryDirectory(prefix="baray-mutants-") as scratch:
        for mutant in chosen:
            caught = _caught(mutant, Path(scratch) / "tree")
            survived += not caught
            print(f"promise {mutant.promise:2}  {'caught  ' if caught else 'SURVIVED'}  {mutant.name}", flush=True)
    print(f"{len(chosen) - survived} caught, {survived} survived")
    return 1 if survived or not chosen else 0


def _caught(mutant: Mutant, tree: Path) -> bool:
    """True if the tests fail in a copy of the tree with the mutant in it. Raises SystemExit if it cannot be made."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "*.egg-info"))
    file = tree / mutant.file
    text = file.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(f"the mutant {mutant.name!r} no longer fits {mutant.file}: mend tests/mutants.py")
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    tests = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", *mutant.tests]
    done = subprocess.run(
        tests, cwd=tree, timeout=_TIMEOUT_S, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )  # fmt: skip
    if done.returncode not in {0, 1}:
        raise SystemExit(f"the tests of the mutant {mutant.name!r} did not run:\n{done.stdout[-2000:]}{done.stderr}")
    return done.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
