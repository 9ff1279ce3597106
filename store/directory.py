"""The slow-moving part of the centre, read whole and kept until the stamp says that it changed."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from domain.accounts import Quota, Tree
from domain.fleet import Flavor, Node
from lifecycle.ports import ClusterRecord, Directory
from lifecycle.reach import REMOVED
from store import calendar, charging, gates
from store.accounts import to_account
from store.budgets import to_price
from store.clusters import to_record
from store.grants import load_picky
from store.policies import to_policy
from store.stamps import CHANGED, DIRECTORY, STAMP
from store.tables.accounts import AccountRow, QuotaRow
from store.tables.budgets import PriceRow
from store.tables.fleet import ClusterRow, FlavorRow, NodeRow, RateRow
from store.tables.policies import PolicyRow
from store.tables.service import StampRow

_STAMP = select(StampRow.value).where(StampRow.name == DIRECTORY)


@dataclass(slots=True)
class DirectoryCache:
    """Shared by all threads of a process; replaced whole, so no lock is needed."""

    _kept: tuple[int, Directory] | None = field(default=None)

    def get(self, connection: Connection) -> Directory:
        told: int | None = connection.info.get(STAMP)
        stamp = told if told is not None else connection.scalar(_STAMP) or 0
        kept = self._kept
        if kept is not None and kept[0] == stamp:
            return kept[1]
        directory = _load(connection)
        if not connection.info.get(CHANGED):  # else it is not committed, and the stamp may come to mean another change
            self._kept = (stamp, directory)
        return directory


def _load(connection: Connection) -> Directory:
    accounts = [to_account(row) for row in connection.execute(select(AccountRow.__table__).order_by(AccountRow.id))]
    quotas = {
        (row.account_id, row.flavor): Quota(row.guaranteed, row.borrow_limit, row.lend_limit)
        for row in connection.execute(select(QuotaRow.__table__))
    }
    rates: dict[str, tuple[tuple[int, int], ...]] = {}
    for row in connection.execute(select(RateRow.__table__).order_by(RateRow.flavor, RateRow.from_ms)):
        rates[row.flavor] = (*rates.get(row.flavor, ()), (row.from_ms, row.micro_su_per_hour))
    clusters: dict[str, ClusterRecord] = {}
    nodes: dict[str, tuple[Node, ...]] = {}
    drained: dict[tuple[str, str], str] = {}
    there = select(ClusterRow.__table__).where(ClusterRow.state != REMOVED).order_by(ClusterRow.id)
    for cluster in connection.execute(there):
        clusters[cluster.name] = to_record(cluster)
        rows = connection.execute(
            select(NodeRow.__table__).where(NodeRow.cluster_id == cluster.id, NodeRow.present).order_by(NodeRow.name)
        ).all()
        nodes[cluster.name] = tuple(map(_node, rows))
        drained |= {(cluster.name, row.name): row.drained for row in rows if row.drained is not None}
    return Directory(
        tree=Tree.of(accounts, quotas),
        by_name={account.name: account for account in accounts},
        flavors={
            row.name: Flavor(row.name, row.title, row.milli)
            for row in connection.execute(select(FlavorRow.__table__).order_by(FlavorRow.name))
        },
        rates=rates,
        clusters=clusters,
        nodes=nodes,
        drained=drained,
        reservations=calendar.load(connection),
        prices=tuple(
            to_price(row)
            for row in connection.execute(select(PriceRow.__table__).order_by(PriceRow.from_ms, PriceRow.id))
        ),
        picky=load_picky(connection),
        charging=charging.load_rules(connection),
        closed=charging.load_periods(connection),
        gate_rules=gates.load_rules(connection),
        terms=gates.load_terms(connection),
        policies=tuple(
            (row.from_ms, to_policy(row).policy)
            for row in connection.execute(select(PolicyRow.__table__).order_by(PolicyRow.from_ms, PolicyRow.id))
        ),
    )


def _node(row: Any) -> Node:
    labels = tuple(sorted((row.labels or {}).items()))
    return Node(row.name, dict(row.devices), row.cpus, row.memory_bytes, labels)
