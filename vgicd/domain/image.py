"""The state image: a domain's whole state as names and words, derived from the declarations of its parts.

Names are stable and words are unsigned, at most 64 bits; -1 (no interrupt) is all ones.  An image says of what
geometry it is and is refused by a domain of another.  What can be recomputed (ranks, output levels) is not in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vgicd.domain.errors import Code, InvariantError, RequestError
from vgicd.domain.invariants import check
from vgicd.hw import list_register as lr
from vgicd.vgic.irq import NR_PRIVATE, VgicIrq

if TYPE_CHECKING:
    from vgicd.domain.domain import Domain
    from vgicd.vgic.vcpu import Vcpu

Image = dict[str, tuple[int, ...]]

VERSION: Final = 1
NONE: Final = (1 << 64) - 1
PROFILES: Final = ("virt", "xen-guest", "trace")
_INTERFACE: Final = ("hcr", "ctlr", "pmr", "bpr", "abpr", "apr")
_PHYSICAL: Final = ("line", "latch", "active", "enabled", "inprogress", "is_level", "affinity")


def geometry(domain: Domain) -> tuple[int, ...]:
    """Image version, vCPUs, SPIs, list registers a vCPU, profile."""
    config, vgic = domain.config, domain.vgic
    return (VERSION, len(vgic.vcpus), vgic.nr_spis, config.lrs, PROFILES.index(config.profile))


def save(domain: Domain) -> Image:
    """The domain's state.  Changes nothing."""
    vgic = domain.vgic
    image: Image = {
        "geometry": geometry(domain),
        "domain.explicit": (int(domain.explicit),),
        "domain.now": (domain.now,),
        "distributor.enabled": (int(vgic.enabled),),
        "distributor.iidr_revision": (vgic.iidr_revision,),
        "distributor.virqs": _words(vgic.virqs_allocated, vgic.nr_irqs),
        "distributor.sourceless_sgis": (vgic.sourceless_sgis,),
        "physical.intid": tuple(sorted(vgic.physical.irqs)),
    }
    for name in _PHYSICAL:
        image[f"physical.{name}"] = tuple(int(getattr(irq, name)) for _, irq in sorted(vgic.physical.irqs.items()))
    for name in VgicIrq.STATE:
        image[f"spi.{name}"] = tuple(int(getattr(irq, name)) for irq in vgic.spis)
    for vcpu in vgic.vcpus:
        prefix = f"vcpu{vcpu.id}"
        for name in VgicIrq.STATE:
            image[f"{prefix}.private.{name}"] = tuple(int(getattr(irq, name)) for irq in vcpu.private)
        image[f"{prefix}.ap_list"] = tuple(irq.intid for irq in vcpu.ap_list.irqs)
        image[f"{prefix}.lr"] = tuple(vcpu.gich.lrs)
        last = vcpu.last_lr_irq
        image[f"{prefix}.state"] = (
            vcpu.used_lrs,
            vcpu.pcpu,
            int(vcpu.inside),
            int(vcpu.powered),
            vcpu.groups,
            NONE if last is None else last.intid,
        )
        image[f"{prefix}.interface"] = tuple(getattr(vcpu.gich, name) for name in _INTERFACE)
    image |= domain.devices.save()
    return image


def restore(domain: Domain, image: Image) -> None:
    """Make the domain's state that of `image`.

    Raises RequestError BAD_IMAGE, with the state as it was, when the image is of another geometry or format, or
    contradicts itself.
    """
    if image.get("geometry") != geometry(domain):
        raise RequestError(
            Code.BAD_IMAGE,
            "geometry",
            f"(version, vCPUs, SPIs, LRs, profile) is {image.get('geometry')} in the image, {geometry(domain)} here",
        )
    before = save(domain)
    _check_shape(image, before)
    try:
        _load(domain, image)
        check(domain.vgic)
    except (InvariantError, ValueError, OverflowError) as error:
        _load(domain, before)
        raise RequestError(Code.BAD_IMAGE, "image", f"the image contradicts itself: {error}") from error


def _check_shape(image: Image, pattern: Image) -> None:
    """The image has the pattern's names, and its lengths where those are fixed."""
    if unknown := sorted(image.keys() - pattern.keys()):
        raise RequestError(Code.BAD_IMAGE, unknown[0], f"the image names {unknown[0]}, which this domain has not")
    if missing := sorted(pattern.keys() - image.keys()):
        raise RequestError(Code.BAD_IMAGE, missing[0], f"the image lacks {missing[0]}")
    for name, words in image.items():
        if any(not 0 <= word <= NONE for word in words):
            raise RequestError(Code.BAD_IMAGE, name, f"{name} holds a number that is no 64-bit word")
        if name.endswith(".ap_list") or name in ("vpl011.rx", "vpl011.tx"):
            continue
        wanted = len(image["physical.intid"]) if name.startswith("physical.") else len(pattern[name])
        if len(words) != wanted:
            raise RequestError(Code.BAD_IMAGE, name, f"{name} has {len(words)} words, not {wanted}")


def _words(bits: int, count: int) -> tuple[int, ...]:
    return tuple(bits >> shift & NONE for shift in range(0, count, 64))


def _upto(words: tuple[int, ...], index: int, limit: int, name: str) -> int:
    if words[index] > limit:
        raise ValueError(f"{name} is {words[index]:#x}, above {limit:#x}")
    return words[index]


def _load(domain: Domain, image: Image) -> None:
    vgic = domain.vgic
    domain.explicit = bool(_upto(image["domain.explicit"], 0, 1, "domain.explicit"))
    domain.now = image["domain.now"][0]
    vgic.enabled = bool(_upto(image["distributor.enabled"], 0, 1, "distributor.enabled"))
    vgic.iidr_revision = _upto(image["distributor.iidr_revision"], 0, 2, "distributor.iidr_revision")
    allocated = sum(word << 64 * index for index, word in enumerate(image["distributor.virqs"]))
    if allocated >> vgic.nr_irqs:
        raise ValueError("distributor.virqs names interrupts that do not exist")
    vgic.virqs_allocated = allocated
    vgic.sourceless_sgis = image["distributor.sourceless_sgis"][0]
    _load_physical(domain, image)
    for irq in vgic.all_irqs():
        irq.vcpu = None
        irq.touched = False
        irq.slot = -1
    _load_irqs(domain, image, "spi", vgic.spis)
    vgic.mapped = {irq.hwintid: irq for irq in reversed(vgic.spis) if irq.hw}
    for vcpu in vgic.vcpus:
        _load_irqs(domain, image, f"vcpu{vcpu.id}.private", vcpu.private)
    for vcpu in vgic.vcpus:
        _load_vcpu(domain, image, vcpu)
    domain.devices.load(image)
    domain.resume()


def _load_physical(domain: Domain, image: Image) -> None:
    physical = domain.vgic.physical
    physical.irqs.clear()
    for index, pirq in enumerate(image["physical.intid"]):
        if not NR_PRIVATE <= pirq <= 1019:
            raise ValueError(f"physical interrupt {pirq} is no SPI")
        irq = physical[pirq]
        for name in _PHYSICAL:
            word = _upto(image[f"physical.{name}"], index, 0xFFFF if name == "affinity" else 1, name)
            setattr(irq, name, word if name == "affinity" else bool(word))


def _load_irqs(domain: Domain, image: Image, prefix: str, irqs: list[VgicIrq]) -> None:
    for name, limit in VgicIrq.STATE.items():
        words = image[f"{prefix}.{name}"]
        boolean = limit == 1 and name != "group"
        for index, irq in enumerate(irqs):
            word = _upto(words, index, limit, f"{prefix}.{name}")
            setattr(irq, name, bool(word) if boolean else word)
    for irq in irqs:
        if irq.intid >= NR_PRIVATE:
            domain.vgic.set_targets(irq, irq.targets)
        elif irq.target_vcpu is not None and irq.targets != 1 << irq.target_vcpu.id:
            raise ValueError(f"private interrupt {irq.intid} targets {irq.targets:#x}")


def _load_vcpu(domain: Domain, image: Image, vcpu: Vcpu) -> None:
    vgic = domain.vgic
    prefix = f"vcpu{vcpu.id}"
    ap_list = vcpu.ap_list
    ap_list.clear()
    for intid in image[f"{prefix}.ap_list"]:
        irq = vgic.lookup(vcpu, intid) if intid < vgic.nr_irqs else None
        if irq is None or irq.vcpu is not None:
            raise ValueError(f"{prefix}.ap_list names INTID {intid}, which does not exist or is listed already")
        ap_list.append(irq)
    gich = vcpu.gich
    lrs = image[f"{prefix}.lr"]
    for word in lrs:
        if word > 0xFFFFFFFF or word != lr.writable(word):
            raise ValueError(f"{prefix}.lr holds {word:#x}, which sets reserved bits")
    gich.lrs = list(lrs)
    state = image[f"{prefix}.state"]
    vcpu.used_lrs = gich.top = _upto(state, 0, gich.nr_lrs, f"{prefix}.used_lrs")
    vcpu.loaded = []
    for index in range(vcpu.used_lrs):
        loaded = vgic.lookup(vcpu, lrs[index] & lr.VIRTUAL_ID)
        if loaded is None or loaded.vcpu is not vcpu:
            raise ValueError(f"{prefix}.lr{index} holds an interrupt that is not on its ap_list")
        loaded.slot = index
        vcpu.loaded.append(loaded)
    vcpu.pcpu = _upto(state, 1, 0xFFFF, f"{prefix}.pcpu")
    vcpu.inside = bool(_upto(state, 2, 1, f"{prefix}.inside"))
    vcpu.powered = bool(_upto(state, 3, 1, f"{prefix}.powered"))
    vcpu.groups = _upto(state, 4, 3, f"{prefix}.groups")
    if vcpu.inside and not vcpu.powered:
        raise ValueError(f"{prefix} is inside the guest and powered off")
    if not domain.explicit and vcpu.powered and not vcpu.inside:
        raise ValueError(f"{prefix} is outside the guest in automatic mode")
    last = state[5]
    vcpu.last_lr_irq = None if last == NONE else vgic.lookup(vcpu, last) if last < vgic.nr_irqs else None
    if last != NONE and vcpu.last_lr_irq is None:
        raise ValueError(f"{prefix} loaded INTID {last} last, which does not exist")
    interface = image[f"{prefix}.interface"]
    if any(word > 0xFFFFFFFF for word in interface):
        raise ValueError(f"{prefix}.interface holds more than 32 bits")
    hcr, ctlr, pmr, bpr, abpr, apr = interface
    gich.write_hcr(hcr)
    gich.write_vmcr(ctlr | pmr << 24 | bpr << 21 | abpr << 18)
    gich.apr = apr
    if (gich.hcr, gich.ctlr, gich.pmr, gich.bpr, gich.abpr) != (hcr, ctlr, pmr, bpr, abpr):
        raise ValueError(f"{prefix}.interface sets bits that do not exist")
