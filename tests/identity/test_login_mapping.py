"""What claims become, whatever they hold; and where addresses lead, however they are written."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.identity.mapping import ClaimsMapping, Match, Rule, profile_of, texts
from api.portal.visit import local
from domain.errors import BarayError
from domain.logins import Profile
from lifecycle.words import check_line, check_title

RULES = ClaimsMapping(
    name=("preferred_username", "nick"),
    tenant=(
        Rule("schac_home_organization", Match.EQUALS, ("cadt.example",), "cadt"),
        Rule("eduperson_scoped_affiliation", Match.ENDS_WITH, ("@itc.example", ".itc.example"), "itc"),
    ),
    affiliation=(Rule("eduperson_affiliation", Match.IN, ("staff", "faculty"), "staff"),),
    level=(
        Rule("acr", Match.EQUALS, ("silver",), 1),
        Rule("eduperson_assurance", Match.IN, ("https://refeds.org/assurance/IAP/high",), 3),
    ),
)


def of(**claims: object) -> Profile:
    found = profile_of("campus", "https://id.example", {"sub": "1", **claims}, RULES)
    assert found is not None
    return found


def test_a_whole_profile() -> None:
    found = of(
        preferred_username="sok.dara", name="Sok  Dara", email="sok@cadt.example", schac_home_organization="cadt.example",
        eduperson_affiliation=["member", "staff"], acr="silver", auth_time=1_700_000_000, sid="s-1",
        eduperson_assurance=["https://refeds.org/assurance", "https://refeds.org/assurance/IAP/high"],
    )  # fmt: skip
    assert found == Profile(
        "campus", "https://id.example", "1", 1_700_000_000_000, "sok.dara", "Sok Dara", "sok@cadt.example", "cadt", "staff",
        3, "s-1",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "tenant"),
    [
        ({"schac_home_organization": "CADT.example"}, None),
        ({"schac_home_organization": ["x", "cadt.example"]}, "cadt"),
        ({"eduperson_scoped_affiliation": "member@itc.example"}, "itc"),
        ({"eduperson_scoped_affiliation": "member@cs.itc.example"}, "itc"),
        ({"eduperson_scoped_affiliation": "member@evil-itc.example"}, None),
        ({"eduperson_scoped_affiliation": "member@itc.example.evil.example"}, None),
        ({"eduperson_scoped_affiliation": {"itc": "@itc.example"}}, None),
    ],
)
@pytest.mark.promise(8)
def test_a_tenant_is_found_by_rule_and_by_nothing_like_it(claims: dict[str, object], tenant: str | None) -> None:
    assert of(**claims).tenant == tenant


def test_what_cannot_be_taken_is_left_out() -> None:
    assert of(name="S\u202eok").title is None
    assert of(name="\x00Sok").title is None
    assert of(name="Sok D\u0430ra").title is None  # Latin and Cyrillic in one word
    assert of(name="\u179f\u17bb\u1781 \u178a\u17b6\u179a\u17c9\u17b6").title is not None  # Khmer
    assert of(name="x" * 300).title == "x" * 120
    assert of(email="no address").email is None
    assert of(email="a@b.example\n").email is None
    assert of(nick="other").name == "other"
    assert of(auth_time="now").login_ms == of(auth_time=True).login_ms == of(auth_time=float("nan")).login_ms == 0
    assert of(sid=7).sid is None
    for sub in (None, 7, "", "x" * 256, "a\u202eb", "a\nb", ["1"], "\ud800"):
        assert profile_of("campus", "https://id.example", {"sub": sub}, RULES) is None
    assert len(texts(["x"] * 1_000)) == 100


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=300),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "sub", "sid", "name", "email", "preferred_username", "nick", "acr", "auth_time", "schac_home_organization",
        "eduperson_scoped_affiliation", "eduperson_affiliation", "eduperson_assurance",
    ]
)  # fmt: skip


@pytest.mark.promise(8)
@given(st.dictionaries(NAMES, JUNK))
@example({"sub": "1", "auth_time": float("inf")})
@example({"sub": "1", "auth_time": 10**400})
def test_no_claim_breaks_it_or_gets_through_unseen(claims: dict[str, object]) -> None:
    found = profile_of("campus", "https://id.example", claims, RULES)
    if found is None:
        return
    assert 0 < len(found.subject) <= 255
    assert found.level in range(4)
    assert 0 <= found.login_ms < 2**53
    for text, most in ((found.name, 120), (found.title, 120), (found.email, 254), (found.sid, 255)):
        if text is not None:
            assert 0 < len(text) <= most
            assert check_line(text) == text
    if found.title is not None:
        try:
            check_title(found.title)
        except BarayError:
            pytest.fail("a title of look-alike letters")


@pytest.mark.promise(8)
@given(st.text(st.sampled_from("/\\%25FCfc0 09:.@?#ae\t\n\u2044"), max_size=20))
@example("/%2F/x")
def test_no_address_leads_outside_however_it_is_written(text: str) -> None:
    path = local(text)
    assert path.startswith("/")
    assert not path.lower().startswith(("//", "/\\", "/%2f", "/%5c", "/%252f", "/%255c"))
