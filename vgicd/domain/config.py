"""What a domain is made of: its geometry, its variant and the options of its hardware.

A `DomainConfig` is a value: two domains with equal ones, given the same operations, are equal for ever.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DomainConfig:
    """Checked when a `Domain` is created from it: `CreationError` with Xen's errno, or `RequestError` BAD_CONFIG."""

    vcpus: int = 1  # 1..8
    spis: int = 64  # 0..960, rounded up to a multiple of 32
    lrs: int = 4  # list registers per vCPU, 1..64
    variant: str = "correct"  # correct | xen
    profile: str = "virt"  # virt | xen-guest | trace
    xen_without: tuple[str, ...] = ()  # defects of variant xen switched off, such as "D2"
    gic_version: int = 2  # 3 is refused as Xen refuses it
    layout: str = "profile"  # profile | ordinary | hardware | direct (spec 6.8)
    gicd_base: int | None = None  # overrides the layout's; 4 KiB aligned
    gicc_base: int | None = None
    gicc_size: int = 0x2000  # of the host's GICC; 128 KiB are a GIC-400's pages, each repeated over 64 KiB
    hardware_domain: bool = False  # may program physical trigger types (dom0)
    strict_abort: bool | None = None  # refused accesses abort (None: as the variant does)
    trap_unmapped: bool = False  # an access outside all regions aborts
    iidr_revision: int = 2  # 0 | 1 | 2: IGROUPR is writable from 2 on (variant correct)
    eoi_compares_source: bool = False  # EOIR and DIR match an SGI's CPUID as well as its INTID
    eoi_when_idle: str = "deactivate"  # deactivate | ignore: an EOIR without a running priority
    timer_hz: int = 62_500_000  # virtual time ticks per second, for people only
    lazy: bool = True  # skip world switches that would change nothing (variant correct)
