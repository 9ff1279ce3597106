"""The front page: who you are, what you may do, and if you may do nothing yet, why and until when."""

from starlette.responses import Response

from api.portal.visit import Visit
from domain.access import Role
from domain.people import UserState
from lifecycle.login import BUILT_IN


def home(visit: Visit) -> Response:
    """Anybody may see it; without a session it says no more than where one begins."""
    if visit.caller is None:
        return visit.show("welcome.html")
    caller = visit.caller
    with visit.portal.services.store.read() as uow:
        accounts = uow.directory().tree.accounts
        session = uow.logins.session(caller.token.id)
        funders = uow.grants.funder_names(sorted(uow.oversight.funders_of(caller.user.id)))
    roles = [
        (role.value, accounts[account].name) for account, held in sorted(caller.roles.items()) for role in sorted(held)
    ]
    roles += [(Role.FUNDER.value, name) for name in sorted(funders.values())]
    through = BUILT_IN if session is None else session.provider
    tenant = accounts.get(caller.user.tenant_id or 0)
    return visit.show(
        "home.html",
        user=caller.user,
        waiting=caller.user.state is UserState.WAITING,
        tenant=None if tenant is None else tenant.title or tenant.name,
        roles=roles,
        built_in=through == BUILT_IN,
        through=_title(visit, through),
        ends_ms=caller.token.expires_ms,
        one_time=caller.token.scopes == frozenset(),
    )


def _title(visit: Visit, provider: str) -> str | None:
    """What people call the provider; None for the centre's own passwords, and for one that is no more."""
    return next((one.title for one in visit.portal.providers.all if one.name == provider), None)
