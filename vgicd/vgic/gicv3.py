"""Entry points of a GICv3, which the new VGIC does not have (spec 6.10, 8.3).

They exist because its callers do: each refuses as Xen does, and says what is missing.
"""

from __future__ import annotations

from vgicd.vgic.errors import CreationError
from vgicd.vgic.state import EINVAL, ENXIO


def max_vcpus(gic_version: int) -> int:
    """How many vCPUs a domain may have: 8 with a GICv2, none with anything else."""
    return 8 if gic_version == 2 else 0


def check_version(gic_version: int, vcpus: int) -> None:
    """The limit is checked before the VGIC is initialised (X5).

    Raises CreationError -EINVAL: no vCPU is possible with any GIC but version 2.
    """
    limit = max_vcpus(gic_version)
    if vcpus > limit:
        version = f"a GICv{gic_version} domain can have {limit} vCPUs, not {vcpus}"
        raise CreationError(EINVAL, version if gic_version == 2 else f"{version}: only GICv2 is supported")


def emulate_sysreg(_register: str) -> bool:
    """A trapped access to an ICC_* system register: False, "not handled", as a GICv2 guest has none."""
    return False


def set_up_hardware() -> None:
    """The host's redistributors and ITS.

    Raises CreationError -ENXIO, always.
    """
    raise CreationError(ENXIO, "the new VGIC drives GICv2 virtual interfaces only")
