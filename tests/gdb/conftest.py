"""Daemons with a gdb endpoint, real gdbs, and both connected.

    def test_iar_is_not_acknowledged_by_looking(session, board):
        board.gic.pulse(33)
        with board.unchanged():
            assert session.run("p/x GICC_IAR") == "$1 = 0x21"
        assert session.accesses() == ["m801000c,4"]

A test that takes `gdb`, `board` or `session` runs once per gdb of `gdbs.NAMES`, or of its marker `gdbs`; in the
ordinary suite only with those of `gdbs.EVERYDAY`, those of its marker `everyday`, or the only one that `gdbs` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gdb import gdbs
from tests.gdb.extension import NOT_FOR_USERS, extended
from tests.gdb.gdbs import Gdb
from tests.gdb.transcript import PATIENCE, Session
from vgicd_client import Client, PrivateDaemon, Space, connect, private_daemon, regs

VCPUS, SPIS = 4, 64


def place(register: str) -> tuple[Space, int]:
    """The space and offset of a register, by its name in the manual."""
    frame = register.partition("_")[0]
    offset = regs.frames()[frame].named(register)
    assert offset is not None, register
    return Space[frame], offset


class Actor:
    """A client whose requests are made one after the other in a thread of its own; each answers a future."""

    def __init__(self, client: Client, pool: ThreadPoolExecutor) -> None:
        self._client = client
        self._pool = pool

    def read(self, vcpu: int, register: str, size: int = 4) -> Future[int]:
        """The guest's read of a register, by its name in the manual."""
        space, offset = place(register)
        return self._pool.submit(self._client.read, vcpu, space, offset, size)

    def write(self, vcpu: int, register: str, value: int, size: int = 4) -> Future[None]:
        space, offset = place(register)
        return self._pool.submit(self._client.write, vcpu, space, offset, value, size)

    def __getattr__(self, request: str) -> Callable[..., Future[Any]]:
        method = getattr(self._client, request)
        return lambda *arguments, **named: self._pool.submit(method, *arguments, **named)


class Board:
    """A daemon: `gdb` is the path of its gdb socket, `gic` a client in role control."""

    def __init__(self, daemon: PrivateDaemon, gdb: str, arch: str, gic: Client) -> None:
        self.daemon = daemon
        self.gdb = gdb
        self.arch = arch
        self.gic = gic

    def reset(self, **config: Any) -> None:
        """As after power on, with `config` of the section [domain]; unnamed options as all boards have them."""
        assert self.gic.reset({"vcpus": VCPUS, "spis": SPIS, **config}) == 0

    @contextmanager
    def client(self, role: str = "guest") -> Iterator[Client]:
        """Another client, such as the guest."""
        with connect(self.daemon.address, role) as client:
            yield client

    @contextmanager
    def acting(self, role: str = "guest") -> Iterator[Actor]:
        """Another client that acts on its own: what a debugger holds back, nobody waits for."""
        with connect(self.daemon.address, role, timeout=PATIENCE / 3) as client, ThreadPoolExecutor(1) as pool:
            yield Actor(client, pool)

    def state(self) -> tuple[int, dict[str, tuple[int, ...]]]:
        """The last operation's number and every word of the state."""
        words = self.gic.snapshot().words
        return self.gic.order, words

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """What happens inside must leave no trace in the state, nor be an operation at all."""
        order, words = self.state()
        yield
        after, now = self.state()
        changed = {name: (words.get(name), value) for name, value in now.items() if words.get(name) != value}
        assert (after, changed) == (order, {})


Boards = Callable[..., Board]
Sessions = Callable[..., Session]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "gdb" not in metafunc.fixturenames:
        return
    only = metafunc.definition.get_closest_marker("gdbs")
    more = metafunc.definition.get_closest_marker("everyday")
    names = only.args if only else gdbs.NAMES
    everyday = {*gdbs.EVERYDAY, *(more.args if more else ()), *(names if len(names) == 1 else ())}
    parameters = [pytest.param(name, marks=() if name in everyday else (pytest.mark.long,)) for name in names]
    metafunc.parametrize("gdb", parameters, indirect=True)


@pytest.fixture
def gdb(request: pytest.FixtureRequest) -> Gdb:
    """One of the gdbs, by its name."""
    return gdbs.find(request.param)


@pytest.fixture(scope="session")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Boards]:
    """`boards(arch, *arguments)` is the board that shows gdb `arch`; the same one for the same arguments, if it lives.

    `arguments` are further ones of `vgicd serve`.
    """
    made: dict[tuple[str, ...], Board] = {}
    with ExitStack() as stack:

        def board(arch: str, *arguments: str) -> Board:
            known = made.get((arch, *arguments))
            if known is not None and known.daemon.process.poll() is None and known.gic.connected:
                return known
            path = tmp_path_factory.mktemp("gdb") / "s"  # short: a UNIX socket's path is
            endpoint = (f"--gdb=unix:{path}", f"--gdb-arch={arch}", *arguments)
            daemon = stack.enter_context(private_daemon(*endpoint, vcpus=VCPUS, spis=SPIS))
            gic = stack.enter_context(connect(daemon.address, "control", name="board"))
            made[arch, *arguments] = Board(daemon, str(path), arch, gic)
            return made[arch, *arguments]

        yield board


@pytest.fixture
def board(gdb: Gdb, boards: Boards) -> Board:
    """A board for the test's gdb: four vCPUs, 64 SPIs, as after power on."""
    ready = boards(gdb.arch)
    ready.reset()
    return ready


@pytest.fixture
def sessions(gdb: Gdb, board: Board) -> Iterator[Sessions]:
    """`sessions(*before)` starts a gdb, runs the commands `before` in it and connects it to the board.

    All end, and are judged, with the test.
    """
    with ExitStack() as stack:

        def start(*before: str, connect: bool = True, board: Board = board) -> Session:
            session = stack.enter_context(Session(gdb, board.gdb))
            if connect:
                session.connect(*before)
            return session

        yield start


@pytest.fixture
def session(sessions: Sessions) -> Session:
    """A gdb that has just connected to the board."""
    return sessions()


@pytest.fixture(scope="module")
def extended_gdbs() -> Iterator[Callable[[Gdb], Session]]:
    """`extended_gdbs(gdb)` is a session of that gdb without a target, with the extension, for a file's tests."""
    with ExitStack() as stack:
        started: dict[str, Session] = {}

        def session(gdb: Gdb) -> Session:
            if gdb.name not in started or started[gdb.name].process.poll() is not None:
                started[gdb.name] = stack.enter_context(extended(gdb))
            return started[gdb.name]

        yield session


@pytest.fixture
def shared(gdb: Gdb, extended_gdbs: Callable[[Gdb], Session]) -> Iterator[Session]:
    """A gdb without a target, with the extension, that other tests have used before and will use again."""
    session = extended_gdbs(gdb)
    begin = len(session.transcript)
    yield session
    for words in NOT_FOR_USERS:
        assert words not in session.transcript[begin:]


def scratch(session: Session) -> Path:
    """A folder for files of this gdb's, in which it runs."""
    return session.tap.path.parent
