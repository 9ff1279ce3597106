"""Guarantees against what there is: shown, and kept from growing beyond it unless somebody says that they may."""

from dataclasses import dataclass

from domain.accounts import Tree
from domain.errors import Fault, Refused
from domain.fleet import CPU_FLAVOR
from domain.guarantees import guaranteed, oversubscribed
from domain.quantities import MILLI
from lifecycle.ports import Directory


@dataclass(frozen=True, slots=True)
class Promise:
    """How much of a flavor is guaranteed in all, and how much there is; in thousandths."""

    flavor: str
    guaranteed: int
    capacity: int

    @property
    def free(self) -> int:
        """What may still be promised; below zero if too much is."""
        return self.capacity - self.guaranteed


def capacity(directory: Directory) -> dict[str, int]:
    """What there is of each flavor in all clusters, idle or not, in thousandths; of ``cpu`` in thousandths of a core."""
    total: dict[str, int] = {}
    for node in (node for nodes in directory.nodes.values() for node in nodes):
        for name, count in ((CPU_FLAVOR, node.cpus), *node.devices.items()):
            unit = directory.flavors[name].milli if name in directory.flavors else MILLI
            total[name] = total.get(name, 0) + count * unit
    return total


def promised(directory: Directory, tree: Tree | None = None) -> list[Promise]:
    """Every flavor that there is any of, or that is promised, by name."""
    sums, there = guaranteed(tree or directory.tree), capacity(directory)
    names = sorted({*sums, *(name for name, milli in there.items() if milli)})
    return [Promise(name, sums.get(name, 0), there.get(name, 0)) for name in names]


def check_promises(directory: Directory, after: Tree) -> None:
    """Refused if guarantees would add up to more than there is, or than the guarantee that they are part of.

    Only what the change makes worse counts: an overcommitment that was said stays, and may shrink.
    """
    before = {one.flavor: one.free for one in promised(directory)}
    faults = []
    for one in promised(directory, after):
        if one.free < min(0, before.get(one.flavor, 0)):
            unit = _unit(directory, one.flavor)
            faults.append(
                Fault(
                    f"{one.guaranteed / unit:g} of {one.flavor} would be guaranteed and there are "
                    f"{one.capacity / unit:g}: {-one.free / unit:g} too many",
                    "guaranteed", _fix(before.get(one.flavor, 0), unit),
                )
            )  # fmt: skip
    old = oversubscribed(directory.tree)
    for (account, flavor), (below, own) in oversubscribed(after).items():
        was_below, was_own = old.get((account, flavor), (0, 0))
        if below - own > was_below - was_own:
            unit, who = _unit(directory, flavor), after.accounts[account]
            faults.append(
                Fault(
                    f"below {who.kind} {who.name} {below / unit:g} of {flavor} would be guaranteed, and its own "
                    f"guarantee is {own / unit:g}: {(below - own) / unit:g} too many",
                    "guaranteed", f"raise the guarantee of {who.name} first, or say --overcommit (overcommit: true)",
                )
            )  # fmt: skip
    if faults:
        error = Refused(faults[0].message, code="overcommitted")
        error.faults = tuple(faults)
        raise error


def _fix(free: int, unit: int) -> str:
    left = f"promise {max(0, free) / unit:g} more at the most" if free > 0 else "promise no more"
    return f"{left}, or say --overcommit (overcommit: true)"


def _unit(directory: Directory, flavor: str) -> int:
    known = directory.flavors.get(flavor)
    return MILLI if known is None else known.milli
