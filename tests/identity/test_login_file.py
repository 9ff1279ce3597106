"""The file of providers: what it may say, and that everything wrong with it is told at once."""

from pathlib import Path

import pytest

from api.identity.mapping import Match, Rule
from api.identity.providers import read_providers
from domain.errors import CannotStart
from runtime.pages import providers_of, public_url
from runtime.settings import Settings

DOCS = Path(__file__).parents[2] / "docs" / "login.md"


def write(root: Path, text: str) -> Path:
    path = root / "login.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(root: Path, text: str) -> dict[str, str]:
    with pytest.raises(CannotStart) as caught:
        read_providers(write(root, text))
    assert "login.toml" in caught.value.message
    return {str(fault.field): fault.message for fault in caught.value.faults}


def test_the_sample_of_the_docs_is_read(tmp_path: Path) -> None:
    sample = DOCS.read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    for name in ("camdigikey", "edugain", "keycloak"):
        (tmp_path / f"{name}.secret").write_text("secret\n", encoding="utf-8")
    providers = read_providers(write(tmp_path, sample))
    assert [one.name for one in providers] == ["camdigikey", "edugain", "keycloak"]
    assert all(one.secret == "secret" for one in providers)
    assert "secret" not in repr(providers).replace("client_secret", "")
    level = Rule("eduperson_assurance", Match.EQUALS, ("https://refeds.org/assurance/IAP/high",), 3)
    assert level in providers[1].mapping.level


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        """
        colour = "red"
        [[provider]]
        name = "No Name"
        title = "T\\u202e"
        issuer = "http://id.example"
        client_id = "with space"
        client_secret_file = "absent"
        client_auth = "magic"
        scopes = ["profile"]
        again_level = 7
        logout = "yes"
        colour = "red"
        claims = 3
        [[provider.tenant]]
        claim = "org"
        ends_with = "cadt.example"
        tenant = "cadt"
        [[provider.tenant]]
        claim = "org"
        tenant = "cadt"
        [[provider.level]]
        claim = "acr"
        equals = "x"
        level = true
        [[provider.affiliation]]
        equals = ""
        affiliation = "staff"
        [[provider]]
        name = "b"
        issuer = "https://id.example?x"
        """,
    )
    assert set(found) == {
        "colour", "provider[0].name", "provider[0].title", "provider[0].issuer", "provider[0].client_id",
        "provider[0].client_secret_file", "provider[0].client_auth", "provider[0].scopes", "provider[0].again_level",
        "provider[0].logout", "provider[0].colour", "provider[0].claims", "provider[0].tenant[0].ends_with",
        "provider[0].tenant[1]", "provider[0].level[0].level", "provider[0].affiliation[0].claim",
        "provider[0].affiliation[0].equals", "provider[1].title", "provider[1].client_id", "provider[1].issuer",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "provider = 3", "[provider]", "not toml", "\x00", "[[provider]]\n" * 3])
def test_a_file_of_nothing_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(CannotStart):
        read_providers(write(tmp_path, text))


def test_names_and_issuers_are_there_once(tmp_path: Path) -> None:
    one = '[[provider]]\nname = "a"\ntitle = "A"\nissuer = "https://id.example"\nclient_id = "x"\n'
    found = faults(tmp_path, one + one)
    assert set(found) == {"provider[1].name", "provider[1].issuer"}


@pytest.mark.promise(8)
@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"public_url": "http://baray.example"}, "TLS"), ({"public_url": "https://baray.example/path"}, "no address"),
        ({"public_url": "javascript:x"}, "no address"), ({"host": "0.0.0.0", "login_file": Path("x")}, "BARAY_PUBLIC_URL"),
        ({"login_file": Path("/absent")}, "BARAY_LOGIN_FILE"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant_do_not_start(given: dict[str, object], wrong: str) -> None:
    with pytest.raises(CannotStart, match=wrong):
        providers_of(Settings.model_validate({"port": 1, **given}))


def test_the_public_address_is_made_of_host_and_port_unless_it_is_given() -> None:
    assert public_url(Settings.model_validate({"port": 8470})) == "http://127.0.0.1:8470"
    assert public_url(Settings.model_validate({"host": "::1", "port": 1})) == "http://[::1]:1"
    assert public_url(Settings.model_validate({"public_url": "https://baray.example/"})) == "https://baray.example"
