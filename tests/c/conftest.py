"""The driver of the C client in each flavour, built once for a session, and a daemon for a module's tests.

VGICD_C_DRIVER in the environment is a command that runs a driver built for another machine, the only flavour then:

    s390x-linux-gnu-gcc -static -Iclients/c tests/c/driver.c clients/c/vgicd.c -lpthread -o /tmp/driver
    VGICD_C_DRIVER='qemu-s390x /tmp/driver' pytest tests/c -k 'not builds'          (big-endian)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.c.harness import FOREIGN, VALGRIND, Driver, FakeServer, build
from vgicd_client import PrivateDaemon, private_daemon

HERE = Path(__file__).resolve().parent
SANITIZED_FIRST = ("test_calls.py", "test_errors.py", "test_hostile.py", "test_vectors.py")
WRONG = SANITIZED_FIRST[1:]
FLAVOURS = ["foreign"] if FOREIGN else ["plain", "sanitized", pytest.param("valgrind", marks=pytest.mark.long)]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What must go wrong does so under the sanitizers every time, and in the plain build where there is time for it.

    Valgrind, which takes a second to start, sees every call and every random reply, but not every single wrong one.
    """
    left_out = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        if item.path.name not in SANITIZED_FIRST or item.path.parent != HERE or callspec is None:
            continue
        if callspec.params.get("flavour") == "plain":
            item.add_marker(pytest.mark.long)
        elif (
            callspec.params.get("flavour") == "valgrind"
            and item.path.name in WRONG
            and callspec.params.keys() - {"flavour", "seed"}
        ):
            left_out.append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


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
    return Path(FOREIGN[-1]) if FOREIGN else build(flavour, builds, HERE / "driver.c", "-lpthread")


@pytest.fixture
def driver(program: Path, flavour: str) -> Iterator[Driver]:
    """A driver that is expected to end cleanly."""
    with Driver(program, VALGRIND if flavour == "valgrind" else FOREIGN[:-1]) as driver:
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
