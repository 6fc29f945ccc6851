"""Random programs in the vocabulary of vgic-trace/1, recorded on the model as if it were Xen.

They keep the discipline of the traces (the distributor is accessed from outside the guest, the CPU interface from
inside) and nothing else: every quirk is within reach.  A program ends early where the model stops.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

from tests.conformance.trace_model import Model, Stopped
from tests.conformance.trace_state import LR_ACTIVE, LR_INTID, PRIVATE, RESERVED, SGIS
from vgicd_client.trace.format import Header, Operation, Trace

Inputs = dict[str, Any]

WEIGHTS: Final = {
    "gicd_write": 30, "gicd_read": 10, "line": 14, "switch": 20, "ack": 18, "eoi": 10, "pmr": 1, "pending": 1,
    "evtchn_pending": 1, "alloc_virq": 1, "reserve_virq": 1, "free_virq": 1, "map_hw": 2, "hwirq": 7, "pline": 3,
    "move_irqs": 1, "hw_desc": 1, "state": 1,
}  # fmt: skip
OUTSIDE: Final = ("gicd_write", "gicd_read")
INSIDE: Final = ("ack", "eoi", "pmr")

CTLR, ISENABLER, ISPENDR0, IPRIORITYR, ITARGETSR, ICFGR, SGIR = 0x000, 0x100, 0x200, 0x400, 0x800, 0xC00, 0xF00
BITMAPS: Final = (0x080, 0x100, 0x100, 0x100, 0x180, 0x200, 0x200, 0x280, 0x300, 0x380)
"""IGROUPR to ICACTIVER; what makes interrupts move, more often."""
READS: Final = (
    *(0x000, 0x004, 0x008, 0x080, 0x100, 0x104, 0x180, 0x200, 0x204, 0x284, 0x300, 0x304, 0x384),
    *(0x420, 0x424, 0x43F, 0x820, 0x824, 0xC00, 0xC04, 0xC08, 0xF00, 0xF10, 0xF24),
)
PIRQS: Final = (36, 72, 73, 500)
BUG: Final = "BUG_ON(!src)"


class Programmer:
    """One program. Few interrupts are used, so that they meet."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        self.header = Header(
            vcpus=random.choice((1, 1, 2, 2, 3, 8)),
            spis=(spis := random.choice((32, 64, 70))),
            nr_spis=-(-spis // 32) * 32,
            init_result=0,
            lrs=random.choice((1, 1, 2, 3, 4, 5, 8, 16, 64)),
            domu=random.random() < 0.6,
            xen_without=("D2",),  # the model has the correction that the recorder calls sgipend-index
            about=f"seed {seed}",
        )
        self.path = Path(f"seed-{seed}")
        self.careless = seed % 8 == 0
        """Pends SGIs by ISPENDR0, which stops Xen at their next entry."""
        self.model = Model(self.header.vcpus, spis, self.header.lrs, domu=self.header.domu)
        self.end = PRIVATE + self.header.nr_spis
        self.intids: tuple[int, ...] = (0, 1, 5, 16, 17, 27, 31, *range(32, 40), self.end - 1)
        self.acknowledged: list[list[int]] = [[] for _ in range(self.header.vcpus)]

    def record(self, length: int) -> Trace:
        """A trace of at most `length` operations, all observations the model's."""
        operations: list[Operation] = []
        first = self._bring_up() if self.random.random() < 0.75 else []
        wishes = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()), k=length - len(first))
        steps: list[str | tuple[str, Inputs]] = [*first, *wishes]
        for number, wish in enumerate(steps, 1):
            vcpu = 0
            if isinstance(wish, str):
                kind, vcpu = self._place(wish)
                inputs = self._inputs(kind, vcpu)
            else:
                kind, inputs = wish
            try:
                answer = self.model.apply(kind, inputs)
            except Stopped:
                operations.append(Operation(number, kind, inputs, expected={}, crash=BUG, labels={}))
                break
            if answer.get("iar", RESERVED) & LR_INTID < RESERVED:
                self.acknowledged[vcpu].append(answer["iar"])
            operations.append(Operation(number, kind, inputs, expected=answer, crash=None, labels={}))
        return Trace(self.path, self.header, tuple(operations))

    def _bring_up(self) -> list[tuple[str, Inputs]]:
        """What a hypervisor and a guest do first: tie hardware, then aim, rank and enable everything."""

        def store(off: int, value: int) -> tuple[str, Inputs]:
            return "gicd_write", {"vcpu": 0, "off": off, "size": 4, "val": value}

        ties = zip(self.random.sample(range(32, 40), len(PIRQS)), PIRQS, strict=True)
        bits = self.random.getrandbits
        return [
            *(("map_hw", {"vcpu": None, "virq": virq, "pirq": pirq, "connect": True}) for virq, pirq in ties),
            store(ICFGR + 8, bits(32)),
            *(store(IPRIORITYR + intid, bits(32)) for intid in range(0, 40, 4)),
            *(store(ITARGETSR + intid, self.random.choice((0x0101_0101, 0x0102_0101))) for intid in (32, 36)),
            *(store(ISENABLER + offset, 0xFFFF_FFFF) for offset in (0, 4)),
            store(CTLR, 1),
        ]

    def _place(self, wish: str) -> tuple[str, int]:
        """An operation that somebody may do now, and who."""
        vcpus = range(self.header.vcpus)
        inside = [vcpu for vcpu in vcpus if self.model.vcpus[vcpu].inside]
        able = inside if wish in INSIDE else sorted({*vcpus} - {*inside}) if wish in OUTSIDE else vcpus
        if wish in OUTSIDE and not able and self.random.random() < 0.6:
            wish, able = self.random.choice(INSIDE[:2]), inside
        if wish == "switch" or not able:
            vcpu = self.random.choice(vcpus)
            return ("exit" if vcpu in inside else "enter"), vcpu
        return wish, self.random.choice(able)

    def _inputs(self, kind: str, vcpu: int) -> Inputs:
        choice, random = self.random.choice, self.random.random
        physical = self.model.physical
        spi = choice([intid for intid in self.intids if intid >= PRIVATE])
        match kind:
            case "gicd_write":
                off, size, val = self._store()
                if off == ISPENDR0 and size == 4 and not self.careless:
                    val &= 0xFFFF_0000
                return {"vcpu": vcpu, "off": off, "size": size, "val": val & (1 << 8 * size) - 1}
            case "gicd_read":
                off = self.random.randrange(0x1000) if random() < 0.2 else choice(READS)
                return {"vcpu": vcpu, "off": off, "size": choice((1, 2, 4, 4, 4, 4, 4, 8))}
            case "line":
                intid = choice([intid for intid in self.intids if intid >= SGIS])
                return {"vcpu": vcpu if intid < PRIVATE else None, "intid": intid, "level": random() < 0.7}
            case "eoi":
                return {"vcpu": vcpu, "val": self._eoi(vcpu)}
            case "pmr":
                return {"vcpu": vcpu, "val": choice((0xFF, 0xFF, 0xFF, 0xFF, 0xF8, 0x80, 0x9F, 0x00))}
            case "alloc_virq":
                return {"spi": random() < 0.5}
            case "reserve_virq":
                return {"virq": choice((0, 5, 16, 31, 32, 33, self.end - 1, self.end, 500))}
            case "free_virq":
                return {"virq": choice((0, 5, 16, 31, 32, 33, self.end - 1))}
            case "map_hw":
                connect = random() < 0.8
                pirq = choice(PIRQS) if connect else choice((None, None, 0, *PIRQS[:2]))
                return {"vcpu": None, "virq": spi, "pirq": pirq, "connect": connect}
            case "hwirq":
                tied = [(irq.pirq, irq.intid) for irq in self.model.spis if irq.pirq is not None]
                ready = [pair for pair in tied if pair[0] in physical and not physical[pair[0]].active]
                either = ready if ready and random() < 0.8 else tied
                pirq, virq = choice(either) if either and random() < 0.9 else (choice(PIRQS), spi)
                return {"pirq": pirq, "virq": virq}
            case "pline":
                return {"pirq": choice(PIRQS), "level": random() < 0.5}
            case "move_irqs":
                return {"vcpu": vcpu, "pcpu": self.random.randrange(9)}
            case "hw_desc":
                return {"virq": spi}
            case _:
                return {"vcpu": vcpu}

    def _store(self) -> tuple[int, int, int]:
        """Offset, size and value of a write to the distributor; most are meant, some are anything."""
        choice, bits = self.random.choice, self.random.getrandbits
        intid = choice(self.intids)
        words = ("control", "bitmap", "priority", "priorities", "target", "targets", "trigger", "sgi", "source", "any")
        match self.random.choices(words, (5, 40, 10, 5, 12, 3, 3, 14, 5, 3))[0]:
            case "control":
                return choice((0, 0, 4, 8)), 4, choice((0, 1, 1, 1, 1, 1))
            case "bitmap":
                mates = [mate for mate in self.intids if mate // 32 == intid // 32]
                chosen = {intid, *self.random.choices(mates, k=self.random.randrange(3))}
                return choice(BITMAPS) + intid // 32 * 4, 4, sum(1 << mate % 32 for mate in chosen)
            case "priority":
                return IPRIORITYR + intid, 1, choice((0x00, 0x08, 0x50, 0x80, 0xA0, 0xA0, 0xFF, bits(8)))
            case "priorities":
                return IPRIORITYR + (intid & ~3), 4, bits(32)
            case "target":
                return ITARGETSR + intid, 1, choice((0, 1, 1, 1, 2, 3, 4, 0xFF))
            case "targets":
                return ITARGETSR + (intid & ~3), 4, bits(32)
            case "trigger":
                return ICFGR + intid // 16 * 4, 4, bits(32)
            case "sgi":
                targets, sgi = choice((0, 0, 0, 1, 2, 3)) << 24 | choice((1, 2, 3, 0xFF)) << 16, choice((0, 1, 5))
                return SGIR, 4, targets | bits(11) << 4 | sgi
            case "source":
                size = choice((1, 4))
                return choice((0xF10, 0xF20)) + choice((0, 1, 5, 15) if size == 1 else (0, 4, 12)), size, bits(32)
            case _:
                return self.random.randrange(0x1000), choice((1, 2, 4, 8)), bits(32)

    def _eoi(self, vcpu: int) -> int:
        """Mostly the last one acknowledged, at times another active one, one that is not active, or no interrupt."""
        choice = self.random.choice
        draw, acknowledged = self.random.random(), self.acknowledged[vcpu]
        active = [word & LR_INTID for word in self.model.vcpus[vcpu].lrs if word & LR_ACTIVE]
        if acknowledged and draw < 0.85:
            return acknowledged.pop()
        if active and draw < 0.96:
            return choice(active)
        if draw < 0.99:
            return choice(self.intids) | choice((0, 0x400, 0x1C00))
        return choice((200, 1020, 1023, 0x7FF, 0xFFFF_FFFF))
