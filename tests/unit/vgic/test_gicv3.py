"""What the new VGIC answers to callers who expect a GICv3 (spec 6.10, 8.3)."""

from __future__ import annotations

import pytest

from vgicd.vgic import gicv3
from vgicd.vgic.errors import CreationError
from vgicd.vgic.state import EINVAL, ENXIO


@pytest.mark.parametrize(("version", "vcpus"), [(2, 9), (3, 1), (3, 8)])
def test_no_vcpu_is_possible_but_eight_with_a_gicv2(version: int, vcpus: int) -> None:
    """X5: refused before the VGIC is initialised."""
    with pytest.raises(CreationError) as refused:
        gicv3.check_version(version, vcpus)
    assert refused.value.errno == EINVAL
    gicv3.check_version(2, 8)


def test_no_system_register_is_handled() -> None:
    assert gicv3.emulate_sysreg("ICC_SGI1R_EL1") is False


def test_gicv3_hardware_cannot_be_set_up() -> None:
    with pytest.raises(CreationError) as refused:
        gicv3.set_up_hardware()
    assert refused.value.errno == ENXIO
