"""The driver of the C client in each flavour, built once for a module's tests, and a daemon for those who only look."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.c.harness import VALGRIND, Driver, FakeServer, build
from vgicd_client import PrivateDaemon, private_daemon

SANITIZED_FIRST = ("test_errors.py", "test_hostile.py", "test_vectors.py")
FLAVOURS = ("plain", "sanitized", pytest.param("valgrind", marks=pytest.mark.long))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What must go wrong does so under the sanitizers every time, and in the plain build where there is time for it."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        if item.path.name in SANITIZED_FIRST and callspec and callspec.params.get("flavour") == "plain":
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session", params=FLAVOURS)
def flavour(request: pytest.FixtureRequest) -> str:
    """How the client is built and run."""
    return str(request.param)


@pytest.fixture(scope="session")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where objects and programs are kept for the session."""
    return tmp_path_factory.mktemp("c")


@pytest.fixture(scope="session")
def program(flavour: str, builds: Path) -> Path:
    """The driver, built."""
    return build(flavour, builds, Path(__file__).with_name("driver.c"), "-lpthread")


@pytest.fixture
def driver(program: Path, flavour: str) -> Iterator[Driver]:
    """A driver that is expected to end cleanly."""
    with Driver(program, VALGRIND if flavour == "valgrind" else ()) as driver:
        yield driver


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    """A server that says whatever the test wants."""
    with FakeServer(tmp_path / "fake") as server:
        yield server


@pytest.fixture(scope="module")
def daemon() -> Iterator[PrivateDaemon]:
    """A daemon of two vCPUs; tests reset its domain."""
    with private_daemon("--tcp=127.0.0.1:0", vcpus=2) as daemon:
        yield daemon
