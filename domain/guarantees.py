"""What an account tree promises against what there is. Amounts are integer thousandths of a GPU."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.accounts import Tree


@dataclass(frozen=True, slots=True)
class Overpromise:
    """A flavor of which more is guaranteed than there is."""

    flavor: str
    guaranteed: int
    capacity: int

    @property
    def shortfall(self) -> int:
        return self.guaranteed - self.capacity


def guaranteed(tree: Tree) -> dict[str, int]:
    """What is guaranteed of each flavor in all: for each account its own guarantee, or the sum of those below it if that
    is more; added up over the accounts directly below the centre.
    """
    below, _ = _sums(tree)
    roots = {account.id for account in tree.accounts.values() if account.parent_id is None}
    return {flavor: milli for (account, flavor), milli in sorted(below.items()) if account in roots and milli}


def _sums(tree: Tree) -> tuple[dict[tuple[int, str], int], dict[tuple[int, str], int]]:
    """By (account, flavor): what is guaranteed to those directly below in all, and what to the account itself."""
    below: dict[tuple[int, str], int] = {}
    own = {key: quota.guaranteed for key, quota in tree.quotas.items() if quota.guaranteed}
    touched = {(above, flavor) for account, flavor in own for above in tree.path(account)}
    for account, flavor in sorted(touched, key=lambda key: (-len(tree.path(key[0])), key)):  # the deepest first
        parent = tree.accounts[account].parent_id
        if parent is not None:
            promised = max(own.get((account, flavor), 0), below.get((account, flavor), 0))
            below[parent, flavor] = below.get((parent, flavor), 0) + promised
    return below, own


def overpromised(tree: Tree, capacity: Mapping[str, int]) -> tuple[Overpromise, ...]:
    """The flavors of which more is guaranteed than ``capacity``, by name."""
    promised = guaranteed(tree)
    return tuple(
        Overpromise(flavor, milli, capacity.get(flavor, 0))
        for flavor, milli in promised.items()
        if milli > capacity.get(flavor, 0)
    )


def oversubscribed(tree: Tree) -> dict[tuple[int, str], tuple[int, int]]:
    """Guarantees, by (account, flavor), that those directly below add up to more than: (their sum, its own)."""
    below, own = _sums(tree)
    return {key: (below[key], milli) for key, milli in sorted(own.items()) if below.get(key, 0) > milli}
