"""Fixtures for tests that need a daemon: `vgicd_daemon`, one per test, and `vgicd_daemons`, a factory.

    def test_typer(vgicd_daemon):
        with connect(vgicd_daemon.address) as gic:
            assert gic.read(0, Space.GICD, 0x004) == 2

The marker `vgicd` gives the domain options: `@pytest.mark.vgicd(vcpus=4, variant="xen")`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from vgicd_client.daemon import PrivateDaemon

DaemonFactory = Callable[..., "PrivateDaemon"]


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that `--strict-markers` accepts it."""
    config.addinivalue_line("markers", "vgicd(**config): domain options of the fixture `vgicd_daemon`")


@pytest.fixture
def vgicd_daemons() -> Iterator[DaemonFactory]:
    """A function that starts a private daemon with the options given; all end with the test."""
    from vgicd_client.daemon import private_daemon  # noqa: PLC0415 - only runs that use it pay for the import

    with ExitStack() as stack:
        yield lambda *arguments, **config: stack.enter_context(private_daemon(*arguments, **config))


@pytest.fixture
def vgicd_daemon(request: pytest.FixtureRequest, vgicd_daemons: DaemonFactory) -> PrivateDaemon:
    """A private daemon with the options of the test's `vgicd` marker."""
    marker = request.node.get_closest_marker("vgicd")
    return vgicd_daemons(*(marker.args if marker else ()), **(marker.kwargs if marker else {}))
