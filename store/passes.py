"""Passes of pods: the attempt's id, sealed with the centre's key. Nothing is kept of them."""

from domain.errors import Invalid, NotLoggedIn, Unavailable
from domain.ids import AttemptId, parse_attempt
from lifecycle.ports import Vault

_MARK = "pass of a pod: "  # what else the vault sealed is no pass
_LONGEST = 1_000


class VaultPasses:
    """See ``lifecycle.driving.Passes``. How long a pass serves is not said in it: its attempt's life decides."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def issue(self, attempt: AttemptId) -> str:
        return self._vault.seal(f"{_MARK}{attempt}").decode()

    def read(self, token: str) -> AttemptId:
        try:
            text = self._vault.open(token.encode()) if len(token) <= _LONGEST else ""
            if text.startswith(_MARK):
                return parse_attempt(text.removeprefix(_MARK))
        except (Unavailable, Invalid, UnicodeError):
            pass
        raise NotLoggedIn("the centre did not issue this pass", fix="give it as the pod found it in its environment")
