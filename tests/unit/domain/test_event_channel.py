"""The event channel interrupt's pending state, asked for while its vCPU runs (spec 6.3)."""

from __future__ import annotations

import pytest

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain


@pytest.mark.parametrize(("variant", "pending"), [("xen", True), ("correct", False)])
def test_an_acknowledged_soft_pend_is_pending_for_xen_until_the_exit(variant: str, pending: bool) -> None:
    """Xen asks the interrupt; its list register knows better (F17)."""
    domain = Domain(DomainConfig(variant=variant, profile="trace"))
    domain.apply(op.Write(0, op.Space.GICD, 0x000, 4, 1))
    domain.apply(op.Write(0, op.Space.GICD, 0x100, 4, 1 << 31))
    domain.apply(op.Write(0, op.Space.GICD, 0x200, 4, 1 << 31))
    domain.apply(op.Enter(0))
    assert domain.apply(op.EventChannelPending(0)).value
    assert domain.apply(op.Read(0, op.Space.GICC, 0x00C, 4)).value == 31
    assert domain.apply(op.EventChannelPending(0)).value is pending
    domain.apply(op.Exit(0))
    assert not domain.apply(op.EventChannelPending(0)).value
