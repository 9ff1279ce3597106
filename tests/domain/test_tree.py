"""The account tree and the arithmetic of quotas on it."""

import pytest

from domain.access import MATRIX, OPEN_TO_ALL, Permission, Role, allows
from domain.accounts import MOST_DEEP, TOTAL, Account, AccountKind, AccountState, Quota, Shortfall, Tree
from tests.support.factories import CPU, H100, tree


def test_a_ceiling_is_the_guarantee_and_what_may_be_borrowed() -> None:
    assert Quota(4_000, 2_000).ceiling == 6_000
    assert Quota(4_000, 0).ceiling == 4_000
    assert Quota(4_000, None).ceiling is None


def test_the_first_account_on_the_way_up_that_is_full_is_named() -> None:
    within = tree({(11, H100): Quota(4_000, 0), (10, H100): Quota(2_000, 0), (1, H100): Quota(1_000, 0)})
    held = {(11, H100): 3_000, (10, H100): 1_000, (1, H100): 0}
    assert within.shortfall(held, 11, H100, 1_000) is None
    assert within.shortfall(held, 11, H100, 1_001) == Shortfall(11, 4_000, 3_000, H100)
    assert within.shortfall({(10, H100): 1_500}, 11, H100, 1_000) == Shortfall(10, 2_000, 1_500, H100)
    assert within.shortfall({(1, H100): 1_000}, 11, H100, 1) == Shortfall(1, 1_000, 1_000, H100)


def test_a_quota_of_one_flavor_says_nothing_of_another() -> None:
    assert tree({(11, H100): Quota(0, 0)}).shortfall({}, 11, "a100-40gb", 10**9) is None


def test_a_cap_on_all_flavors_counts_gpus_by_their_share_and_no_cores() -> None:
    within = tree({(10, TOTAL): Quota(0, 3_000)})
    held = within.with_totals({(10, H100): 2_000, (10, "mig-1g"): 857, (10, CPU): 64_000, (11, H100): 2_000})
    assert held[10, TOTAL] == 2_857
    assert (11, TOTAL) not in held, "only where there is a cap"
    assert within.shortfall(held, 11, "mig-1g", 143) is None
    assert within.shortfall(held, 11, "mig-1g", 144) == Shortfall(10, 3_000, 2_857, TOTAL)
    assert within.shortfall(held, 21, H100, 10**9) is None
    assert within.shortfall(held, 11, CPU, 10**9) is None
    assert within.counted(11, H100) == [(11, H100), (10, H100), (1, H100), (10, TOTAL)]
    assert tree({}).counted(11, H100) == [(11, H100), (10, H100), (1, H100)]


def grove(*accounts: tuple[int, int | None, AccountKind]) -> Tree:
    return Tree.of([Account(number, above, kind, f"a{number}", "") for number, above, kind in accounts], {})


def test_where_an_account_may_hang() -> None:
    """1 centre; 2 and 3 tenants, 4 a group of tenants with tenant 5 in it; 6 a group of 2 with project 7."""
    t, g, p = AccountKind.TENANT, AccountKind.GROUP, AccountKind.PROJECT
    root = (1, None, AccountKind.CENTRE)
    within = grove(root, (2, 1, t), (3, 1, t), (4, 1, g), (5, 4, t), (6, 2, g), (7, 6, p), (8, 2, p))
    for account, parent in ((7, 3), (7, 2), (6, 3), (8, 6), (3, 4), (5, 1), (4, 1), (2, 4)):
        assert within.misplaced(account, parent) is None, (account, parent)
    for account, parent, why in (
        (1, 2, "the centre is the root"),
        (2, 2, "a2 would be above itself"),
        (2, 6, "a2 would be above itself"),
        (6, 6, "a6 would be above itself"),
        (3, 2, "tenant a3 would be under a tenant"),
        (3, 6, "tenant a3 would be under a tenant"),
        (4, 2, "tenant a5 would be under a tenant"),
        (7, 1, "project a7 would belong to no tenant"),
        (7, 4, "project a7 would belong to no tenant"),
        (6, 1, "project a7 would belong to no tenant"),
        (7, 8, "project a8 can have nothing below it"),
    ):
        assert why in (within.misplaced(account, parent) or ""), (account, parent)
    moved = within.moved(6, 3)
    assert moved.path(7) == (7, 6, 3, 1)
    assert moved.below(3) == {3, 6, 7}


def test_a_tree_has_a_depth() -> None:
    group = AccountKind.GROUP
    rows = [
        (1, None, AccountKind.CENTRE),
        (2, 1, AccountKind.TENANT),
        *((n, n - 1, group) for n in range(3, MOST_DEEP + 1)),
    ]
    deep = grove(*rows, (90, 2, group), (91, 90, group))
    assert deep.misplaced(90, MOST_DEEP - 2) is None
    assert "deeper than 16" in (deep.misplaced(90, MOST_DEEP - 1) or "")


def test_an_account_is_active_only_if_all_above_it_are() -> None:
    centre = Account(1, None, AccountKind.CENTRE, "centre", "")
    tenant = Account(2, 1, AccountKind.TENANT, "t", "", state=AccountState.SUSPENDED)
    project = Account(3, 2, AccountKind.PROJECT, "p", "")
    within = Tree.of([centre, tenant, project], {})
    assert within.active(1)
    assert not within.active(3)
    assert within.path(3) == (3, 2, 1)
    assert within.tenant_of(3) == tenant
    assert within.tenant_of(1) is None


def test_an_account_above_itself_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="above itself"):
        Tree.of([Account(1, 2, AccountKind.GROUP, "a", ""), Account(2, 1, AccountKind.GROUP, "b", "")], {})


@pytest.mark.promise(8)
def test_the_matrix_speaks_of_every_permission_and_leaves_no_role_out() -> None:
    assert MATRIX.keys() == set(Permission)
    assert frozenset().union(*MATRIX.values()) == set(Role)
    for permission in Permission:
        of_people = permission is not Permission.POD
        assert allows(permission, frozenset({Role.CENTRE_ADMIN})) == of_people, "an administrator may do everything"
        assert allows(permission, frozenset()) == (permission in OPEN_TO_ALL)
