"""Tools from outside Python that tests need, all of which `make setup` installs when it may."""

from __future__ import annotations

import os
import shutil

import pytest

from vgicd_machine import guests
from vgicd_machine.errors import MissingPart


def unavailable(reason: str) -> None:
    """Skip the calling test for `reason`; under CI, where everything can be installed, fail."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def require_tool(program: str, package: str) -> None:
    """The calling test runs `program`, of Debian's `package`."""
    if not shutil.which(program):
        unavailable(f"{program} is not installed (Debian package {package})")


def require_fetched(guest: str) -> None:
    """The calling test runs `guest`, which scripts/fetch-guests brings."""
    try:
        guests.fetched(guest)
    except MissingPart as missing:
        unavailable(str(missing))
