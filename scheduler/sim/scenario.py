"""What is to be tried: accounts, capacity and calendars as a document, checked as a whole. See docs/simulate.md."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.accounts import Quota
from domain.errors import Fault, Invalid
from domain.quantities import MILLI, MINUTE_MS, SECOND_MS
from scheduler.sim.fields import Fields

CENTRE = "centre"
MOST_NODES = 100_000
MOST_WEIGHT = 1_000_000
MOST_TIMES = 10_000


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """An account to be: where it hangs, its weight beside its siblings, and its quotas by flavor."""

    name: str
    parent: str = CENTRE
    weight: int = 1
    quotas: Mapping[str, Quota] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Capacity:
    """Equal nodes, there from ``from_ms`` until ``until_ms`` (None: from the beginning, for good).

    ``cpus`` and ``memory_bytes`` are a node's; None: not counted. Nodes that go take no more jobs, and finish theirs.
    ``names`` are one a node; without them the nodes are numbered.
    """

    flavor: str
    nodes: int
    gpus: int
    cluster: str = "sim"
    cpus: int | None = None
    memory_bytes: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    from_ms: int | None = None
    until_ms: int | None = None
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation to be: devices or named nodes for an account, or for maintenance (``account`` None)."""

    name: str
    account: str | None
    starts_ms: int
    ends_ms: int
    cluster: str | None = None
    nodes: tuple[str, ...] = ()
    flavor: str | None = None
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A document, read. ``policy`` is still a document: see ``scheduler.rules``.

    ``zero_ms`` is the date of the trace's zero, in ms since 1970. ``restartable`` jobs that are stopped run again from
    the start; ``grace_ms`` is how long they go on after they were told.
    """

    accounts: tuple[AccountPlan, ...] = ()
    capacity: tuple[Capacity, ...] = ()
    windows: tuple[Reserved, ...] = ()
    policy: Mapping[str, Any] | None = None
    zero_ms: int | None = None
    restartable: bool = True
    grace_ms: int = MINUTE_MS

    @property
    def flavors(self) -> tuple[str, ...]:
        """Every flavor that any capacity offers, in the order of the document."""
        return tuple(dict.fromkeys(pool.flavor for pool in self.capacity))


def uniform(gpus: int, per_node: int, flavor: str = "gpu") -> tuple[Capacity, ...]:
    """``gpus`` GPUs on nodes of ``per_node``; the last node is smaller if they do not divide."""
    whole, rest = divmod(gpus, per_node)
    pools = [Capacity(flavor, whole, per_node)] if whole else []
    return (*pools, Capacity(flavor, 1, rest)) if rest else tuple(pools)


def read_scenario(document: Any) -> Scenario:
    """The scenario of a document. Raises Invalid with every fault at once, each with its field."""
    faults: list[Fault] = []
    root = Fields.of(document, "", faults)
    zero_ms = root.time("date", 0)
    scenario = Scenario(
        accounts=_accounts(root),
        capacity=tuple(_capacity(entry, zero_ms) for entry in root.each("capacity")),
        windows=tuple(window for entry in root.each("windows") for window in _windows(entry, zero_ms)),
        policy=root.get("policy"),
        zero_ms=zero_ms,
        restartable=root.flag("restartable", True),
        grace_ms=max(SECOND_MS, root.duration("grace", MINUTE_MS)),
    )
    if scenario.policy is not None and not isinstance(scenario.policy, Mapping):
        root.fault("policy", "is no mapping of names to values")
    root.finish()
    _check_windows(scenario, root)
    if sum(pool.nodes for pool in scenario.capacity) > MOST_NODES:
        root.fault("capacity", f"more than {MOST_NODES} nodes")
    if faults:
        raise Invalid.many(faults)
    return scenario


def shortfalls(scenario: Scenario) -> tuple[str, ...]:
    """A sentence for each flavor whose guarantees are more than its capacity ever is."""
    told = []
    for flavor in dict.fromkeys(flavor for account in scenario.accounts for flavor in account.quotas):
        promised = _promised(scenario.accounts, CENTRE, flavor) // MILLI
        there = sum(pool.nodes * pool.gpus for pool in scenario.capacity if pool.flavor == flavor)
        if promised > there:
            told.append(
                f"guarantees of {flavor} add up to {promised}, the capacity to {there}: {promised - there} short"
            )
    return tuple(told)


def _promised(accounts: tuple[AccountPlan, ...], name: str, flavor: str) -> int:
    """What an account guarantees: its own guarantee or its children's together, whichever is more."""
    own = next((account.quotas[flavor].guaranteed for account in accounts
                if account.name == name and flavor in account.quotas), 0)  # fmt: skip
    return max(own, sum(_promised(accounts, account.name, flavor) for account in accounts if account.parent == name))


def _accounts(root: Fields) -> tuple[AccountPlan, ...]:
    found = {name: (_account(name, entry), entry) for name, entry in root.named("accounts")}
    for name, (account, entry) in found.items():
        if name == CENTRE:
            entry.fault("name", f"{CENTRE!r} is the root of all accounts", "leave it out")
        elif account.parent != CENTRE and account.parent not in found:
            entry.fault("parent", f"there is no account {account.parent!r}", "name an account of this document")
        elif name in _above(name, {other: plan.parent for other, (plan, _) in found.items()}):
            entry.fault("parent", f"{name!r} is above itself", "let one account of this circle hang under the centre")
    return tuple(account for account, _ in found.values())


def _above(name: str, parents: Mapping[str, str]) -> set[str]:
    """The names above an account, and its own if they lead back to it."""
    above: set[str] = set()
    step = parents.get(name)
    while step is not None and step not in above:
        above.add(step)
        step = parents.get(step)
    return above


def _account(name: str, entry: Fields) -> AccountPlan:
    weight = entry.whole("weight", 1, least=1)
    if weight > MOST_WEIGHT:
        entry.fault("weight", f"{weight} is more than {MOST_WEIGHT}")
    quotas = {flavor: _quota(quota) for flavor, quota in entry.named("quotas")}
    account = AccountPlan(name, entry.text("parent", CENTRE), weight, quotas)
    entry.finish()
    return account


def _quota(entry: Fields) -> Quota:
    """Amounts are whole GPUs in the document, thousandths inside."""
    borrow, lend = (
        None if entry.get(name) is None else entry.whole(name) * MILLI for name in ("borrow_limit", "lend_limit")
    )
    quota = Quota(entry.whole("guaranteed", 0) * MILLI, borrow, lend)
    entry.finish()
    return quota


def _capacity(entry: Fields, zero_ms: int | None) -> Capacity:
    names = entry.texts("names")
    pool = Capacity(
        flavor=entry.text("flavor"),
        nodes=entry.whole("nodes", len(names) or 1, least=1),
        gpus=entry.whole("gpus", least=1),
        cluster=entry.text("cluster", "sim"),
        cpus=None if entry.get("cpus") is None else entry.whole("cpus"),
        memory_bytes=entry.size("memory"),
        labels=entry.labels("labels"),
        from_ms=entry.time("from", zero_ms),
        until_ms=entry.time("until", zero_ms),
        names=names,
    )
    if names and len(names) != pool.nodes:
        entry.fault("names", f"{len(names)} names for {pool.nodes} nodes")
    if pool.from_ms is not None and pool.until_ms is not None and pool.until_ms <= pool.from_ms:
        entry.fault("until", "is not after `from`")
    entry.finish()
    return pool


def _windows(entry: Fields, zero_ms: int | None) -> tuple[Reserved, ...]:
    """The occurrences of a reservation: one, or ``times`` of them ``every`` so long."""
    starts, ends = entry.time("starts", zero_ms, 0) or 0, entry.time("ends", zero_ms, 0) or 0
    every, times = entry.duration("every", 0), entry.whole("times", 1, least=1)
    if ends <= starts:
        entry.fault("ends", "is not after `starts`")
    if times > MOST_TIMES or (times > 1 and every < ends - starts):
        entry.fault("every", f"a reservation repeats at most {MOST_TIMES} times, and not before it is over")
        times = 1
    window = Reserved(
        entry.text("name"), entry.text("account", "") or None, starts, ends, entry.text("cluster", "") or None,
        entry.texts("nodes"), entry.text("flavor", "") or None, entry.whole("gpus", 0),
    )  # fmt: skip
    if bool(window.nodes) == bool(window.gpus):
        entry.fault("nodes", "either nodes or gpus are kept", "give `nodes` of a `cluster`, or `gpus` of a `flavor`")
    entry.finish()
    return tuple(_later(window, every * nth, nth) for nth in range(times))


def _later(window: Reserved, by_ms: int, nth: int) -> Reserved:
    name = f"{window.name}-{nth + 1}" if nth else window.name
    return Reserved(
        name, window.account, window.starts_ms + by_ms, window.ends_ms + by_ms, window.cluster,
        window.nodes, window.flavor, window.gpus,
    )  # fmt: skip


def _check_windows(scenario: Scenario, root: Fields) -> None:
    known = {account.name for account in scenario.accounts} | {CENTRE}
    every = [f"{pool.cluster}/{node}" for pool, node in numbered(scenario.capacity)]
    names = set(every)
    if len(names) < len(every):
        twice = next(name for name in every if every.count(name) > 1)
        root.fault("capacity", f"two nodes are called {twice}", "name them apart, or give no names at all")
    for window in scenario.windows:
        if window.account is not None and scenario.accounts and window.account not in known:
            root.fault("windows", f"{window.name}: there is no account {window.account!r}")
        if window.gpus and scenario.capacity and window.flavor not in scenario.flavors:
            root.fault("windows", f"{window.name}: no capacity offers the flavor {window.flavor!r}")
        for node in window.nodes if scenario.capacity else ():
            if f"{window.cluster or 'sim'}/{node}" not in names:
                root.fault(
                    "windows", f"{window.name}: there is no node {node!r}", "nodes are named n1, n2, … by cluster"
                )


def numbered(capacity: tuple[Capacity, ...]) -> list[tuple[Capacity, str]]:
    """Every node of every pool with its name; without one n1, n2, … by cluster, in the order of the document."""
    counts: dict[str, int] = {}
    named = []
    for pool in capacity:
        if pool.names:
            named += [(pool, name) for name in pool.names]
            continue
        for _ in range(min(pool.nodes, MOST_NODES)):
            counts[pool.cluster] = counts.get(pool.cluster, 0) + 1
            named.append((pool, f"n{counts[pool.cluster]}"))
    return named
