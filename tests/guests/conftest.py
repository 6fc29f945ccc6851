"""Guests run on daemons of the tests' own, whatever daemon the person at the shell works with."""

from __future__ import annotations

import pytest

from vgicd_client.ctl.session import ENVIRONMENT


@pytest.fixture(autouse=True)
def _no_daemon_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
