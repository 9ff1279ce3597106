"""One centre, seen with one person's token: the door to everything else in this package."""

from types import TracebackType
from typing import Any, Self

from client.accounts import Accounts, Projects, Tenants, Users
from client.allocations import Allocations
from client.audit import Audit
from client.budgets import Budgets, Quotas
from client.calendar import Reservations
from client.charging import Charging
from client.clusters import Clusters
from client.exec import Lines
from client.files import Files
from client.fleet import Flavors
from client.gates import Gates
from client.history import History
from client.imports import Imports
from client.jobs import Jobs
from client.logins import Logins
from client.logs import Logs
from client.models import Usage
from client.oversight import Oversight
from client.people import WhoAmI
from client.policies import Policies
from client.privacy import Privacy
from client.services import Services
from client.transport import Transport
from client.xroad import Xroad


class Baray:
    """``timeout_s`` bounds each silence of the centre; ``retries`` bounds the repeats of a call that may be repeated.

    ``on_behalf_of`` is the user for whom support acts, once they have leave to (``oversight.act``).
    """

    def __init__(
        self,
        address: str,
        token: str | None,
        *,
        timeout_s: float = 30.0,
        retries: int = 3,
        backoff_s: float = 0.2,
        on_behalf_of: str | None = None,
    ) -> None:
        self._transport = Transport(
            address, token, timeout_s=timeout_s, retries=retries, backoff_s=backoff_s, on_behalf_of=on_behalf_of
        )
        self.address = self._transport.address
        self.jobs = Jobs(self._transport)
        self.logs = Logs(self._transport)
        self.lines = Lines(self._transport)
        self.files = Files(self._transport)
        self.accounts = Accounts(self._transport)
        self.tenants = Tenants(self._transport)
        self.projects = Projects(self._transport)
        self.users = Users(self._transport)
        self.services = Services(self._transport)
        self.logins = Logins(self._transport)
        self.clusters = Clusters(self._transport)
        self.flavors = Flavors(self._transport)
        self.quotas = Quotas(self._transport)
        self.budgets = Budgets(self._transport)
        self.allocations = Allocations(self._transport)
        self.charging = Charging(self._transport)
        self.policies = Policies(self._transport)
        self.gates = Gates(self._transport)
        self.history = History(self._transport)
        self.audit = Audit(self._transport)
        self.imports = Imports(self._transport)
        self.reservations = Reservations(self._transport)
        self.oversight = Oversight(self._transport)
        self.xroad = Xroad(self._transport)
        self.privacy = Privacy(self._transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Baray({self.address!r})"  # never with its token

    def close(self) -> None:
        self._transport.close()

    def whoami(self) -> WhoAmI:
        who: WhoAmI = self._transport.get("/whoami")
        return who

    def logout(self) -> None:
        """Revoke the token that is used."""
        self._transport.post("/logout")

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self._transport.get("/status")
        return status

    def usage(
        self, by: str, *, from_ms: int | None = None, to_ms: int | None = None, account: str | None = None
    ) -> Usage:
        """``by``: tenant, project, funder or user."""
        query = {"by": by, "from_ms": from_ms, "to_ms": to_ms, "account": account}
        usage: Usage = self._transport.get("/usage", query)
        return usage
