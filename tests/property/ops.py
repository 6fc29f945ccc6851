"""Random operations, from one place for every property.

A *gene* is an integer from which one operation is made, so that a list of genes is a whole run: hypothesis deletes
genes from it to find the shortest failure, and a soak run draws millions of them from one seed.  A `Script` turns
genes into operations and remembers just enough of the answers to be a plausible guest: it ends the interrupts that
it acknowledged, mostly in reverse order, and leaves vCPUs that it entered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import accumulate
from random import Random
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from vgicd.domain import operations as op
from vgicd.domain.config import DomainConfig
from vgicd.domain.domain import Domain
from vgicd.domain.errors import RequestError

GENES: Final = st.integers(0, 2**32)
SPECIAL: Final = 1020
WORD: Final = 0xFFFFFFFF
GICD, GICC, GICH, DEVICE, PHYSICAL = (op.Space.GICD, op.Space.GICC, op.Space.GICH, op.Space.DEVICE, op.Space.PHYSICAL)

Operation = Any  # one of the records of vgicd.domain.operations


class Refusal(NamedTuple):
    """How an operation was refused, in a form that compares."""

    code: int
    field: str


def answer(domain: Domain, operation: Operation) -> op.Result | Refusal:
    """The operation's result, or its refusal."""
    try:
        return domain.apply(operation)
    except RequestError as refused:
        return Refusal(refused.code, refused.field)


def snapshot(domain: Domain) -> dict[str, tuple[int, ...]]:
    """The complete state of `domain`."""
    image: dict[str, tuple[int, ...]] = domain.apply(op.Snapshot()).value
    return image


def configs(
    *,
    vcpus: tuple[int, ...] = (1, 2, 8),
    lrs: tuple[int, ...] = (1, 2, 4, 16),
    spis: tuple[int, ...] = (32, 64),
    variants: tuple[str, ...] = ("correct", "xen"),
    profiles: tuple[str, ...] = ("virt", "xen-guest", "trace"),
) -> st.SearchStrategy[DomainConfig]:
    """Domains of every kind; the first value of each choice is what a failure shrinks to."""
    built = st.builds(
        DomainConfig,
        vcpus=st.sampled_from(vcpus),
        lrs=st.sampled_from(lrs),
        spis=st.sampled_from(spis),
        variant=st.sampled_from(variants),
        profile=st.sampled_from(profiles),
        eoi_compares_source=st.booleans(),
        eoi_when_idle=st.sampled_from(("deactivate", "ignore")),
        strict_abort=st.sampled_from((None, True, False)),
        trap_unmapped=st.booleans(),
        hardware_domain=st.booleans(),
        iidr_revision=st.sampled_from((2, 1, 0)),
    )
    return built.filter(lambda config: config.spis or config.profile != "xen-guest")  # its UART needs an SPI


def runs(*, size: int = 40) -> st.SearchStrategy[list[int]]:
    """A run: the genes of up to `size` operations.

    Runs are drawn long, since short ones find little; a gene of 0 is no operation, so that they shrink all the same.
    """
    drawn = st.lists(GENES, min_size=size, max_size=size)
    return drawn.map(lambda run: [gene for gene in run if gene])


def genes(seed: int, count: int) -> Iterator[int]:
    """`count` genes from one seed, for runs too long for hypothesis."""
    random = Random(seed)
    return (random.randrange(1, 2**32) for _ in range(count))


class Script:
    """A plausible guest, hypervisor and board for a domain of `config`.

    `modes`: whether MODE may switch between automatic and explicit.  `restores`: whether the RESTORE plane is used.
    `noise`: whether there are reads, queries and nonsense, too.
    """

    def __init__(self, config: DomainConfig, *, modes: bool = True, restores: bool = False, noise: bool = True) -> None:
        self.config = config
        self.nr_irqs = 32 + (config.spis + 31) // 32 * 32
        self.explicit = config.profile == "trace"
        self.inside: set[int] = set()
        self.acked: list[list[int]] = [[] for _ in range(config.vcpus)]
        self.dropped: list[list[int]] = [[] for _ in range(config.vcpus)]  # EOIR was written, DIR perhaps not yet
        self.now = 0
        self.restores = restores
        # Few interrupts of each kind, so that they meet one another; now and then another, and the last that exists.
        self.focus = [0, 16, 32, 33, 34] if config.spis else [0, 1, 16, 27]
        self.recent = list(self.focus[:2])  # what the last operations were about: more of it
        self.intids = [*range(3), 16, 17, 18, 27, 30, 31, *range(32, 38), self.nr_irqs - 1]
        self.shared = [intid for intid in self.intids if 32 <= intid < self.nr_irqs]
        self.choices: list[tuple[int, Callable[[Random], Operation]]] = [
            (22, self._acknowledge),
            (18, self._end),
            (10, self._interface),
            (24, self._line),
            (8, self._enable),
            (10, self._pending),
            (5, self._active),
            (8, self._priority),
            (10, self._target),
            (3, self._config),
            (10, self._sgi),
            (3, self._control),
            (8 * noise, self._read),
            (4 * noise, self._wild),
            (5, self._device),
            (6, self._hardware),
            (4 * noise, self._look),
            (2 * noise, self._rare),
            (14, self._switch),
            (2 if modes else 0, self._mode),
            (8 if restores else 0, self._restore),
        ]
        self.weights = list(accumulate(weight for weight, _ in self.choices))

    def opening(self, gene: int = 0) -> list[Operation]:
        """Bring the interrupt controller up as a guest does; `gene` chooses EOImode, groups and priorities."""
        random = Random(gene)
        ctlr = random.choice((1, 1, 0x201, 0x201, 3, 0x207))
        shift = random.choice((0, 0, 1, 8))
        vcpus = range(self.config.vcpus)
        first_spis = range(2 if self.config.spis else 0)
        return [
            op.Write(0, GICD, 0x000, 4, 1),
            *(op.Write(v, GICC, 0x000, 4, ctlr) for v in vcpus),
            *(op.Write(v, GICC, 0x004, 4, 0xF8) for v in vcpus),
            *(op.Write(v, GICD, 0x100, 4, WORD) for v in vcpus),
            op.Write(0, GICD, 0xC08, 4, 0xAAAA00AA),
            *(op.Write(0, GICD, 0x420 + 4 * n, 4, 0xA0805030 >> n >> shift) for n in first_spis),
            *(op.Write(0, GICD, 0x820 + 4 * n, 4, 0x02010101) for n in first_spis),
            *(op.Write(0, GICD, 0x104, 4, 0xFF) for _ in first_spis[:1]),
        ]

    def next(self, gene: int) -> Operation:
        """The operation that `gene` stands for here."""
        random = Random(gene)
        (choice,) = random.choices(self.choices, cum_weights=self.weights)
        return choice[1](random)

    def saw(self, operation: Operation, result: op.Result | Refusal) -> None:
        """Learn from an answer what the next operations need to be plausible."""
        if isinstance(result, Refusal):
            return
        match operation:
            case op.Read(vcpu=vcpu, space=op.Space.GICC, address=0xC | 0x20, plane=op.Plane.GUEST):
                if result.value & 0x3FF < SPECIAL and not result.fault:
                    self.acked[vcpu].append(result.value)
            case op.Enter(vcpu=vcpu):
                self.inside.add(vcpu)
            case op.Exit(vcpu=vcpu):
                self.inside.discard(vcpu)
            case op.Mode(explicit=explicit):
                self.explicit = explicit
                self.inside.clear()
            case op.Reset(config=None):
                self.explicit = self.config.profile == "trace"
                self.inside.clear()
                self.now = 0
            case op.Time(now=now):
                self.now = now

    def play(self, domain: Domain, run: Iterable[int]) -> Iterator[tuple[Operation, op.Result | Refusal]]:
        """Apply the opening that the first gene chooses and then the run to `domain`, operation by operation."""
        remaining = iter(run)
        for operation in self.opening(next(remaining, 0)):
            yield operation, answer(domain, operation)
        for gene in remaining:
            operation = self.next(gene)
            result = answer(domain, operation)
            self.saw(operation, result)
            yield operation, result

    # --- who and which ------------------------------------------------------------------------------------------

    def _vcpu(self, random: Random) -> int:
        return random.randrange(self.config.vcpus)

    def _runner(self, random: Random) -> int:
        """A vCPU that can use its CPU interface, if there is one."""
        if self.explicit and self.inside and random.random() < 0.9:
            return random.choice(sorted(self.inside))
        return self._vcpu(random)

    def _trapped(self, random: Random) -> int:
        """A vCPU that can access the distributor, if there is one."""
        outside = [v for v in range(self.config.vcpus) if v not in self.inside]
        if self.explicit and outside and random.random() < 0.9:
            return random.choice(outside)
        return self._vcpu(random)

    def _intid(self, random: Random) -> int:
        where = random.random()
        if where < 0.45:
            return random.choice(self.recent)
        if where < 0.85:
            intid = random.choice(self.focus)
        else:
            intid = random.choice(self.intids) if where < 0.98 else random.randrange(1024)
        self.recent = [*self.recent[1:], intid]
        return intid

    def _spi(self, random: Random) -> int:
        """As `_intid`, an SPI; INTID 5 in a domain without SPIs."""
        return next(
            (intid for intid in (self._intid(random) for _ in range(4)) if intid >= 32), 32 if self.shared else 5
        )

    def _bits(self, random: Random, word: int) -> int:
        """Interesting bits of one of the 1-bit-per-interrupt registers."""
        if random.random() < 0.1:
            return random.choice((0, WORD, random.getrandbits(32)))
        where = random.random()
        known = self.recent if where < 0.4 else self.focus if where < 0.8 else self.intids
        mine = [intid % 32 for intid in known if intid // 32 == word] or [0]
        return sum(1 << bit for bit in set(random.choices(mine, k=random.randrange(1, 3))))

    def _word(self, random: Random) -> int:
        """Index of a 32-interrupt block: private, the first SPIs, the last, one too far."""
        last = self.nr_irqs // 32 - 1
        return random.choices((0, 1, last, last + 1), (8, 8, 1, 1))[0]

    # --- the guest ----------------------------------------------------------------------------------------------

    def _acknowledge(self, random: Random) -> Operation:
        return op.Read(self._runner(random), GICC, 0x20 if random.random() < 0.06 else 0x0C, 4)

    def _end(self, random: Random) -> Operation:
        vcpu = self._runner(random)
        offset = random.choices((0x10, 0x1000, 0x24), (12, 6, 1))[0]
        stack = self.dropped[vcpu] if offset == 0x1000 else self.acked[vcpu]
        where = random.random()
        if stack and where < 0.8:
            value = stack.pop()
        elif stack and where < 0.9:
            value = stack.pop(random.randrange(len(stack)))
        elif where < 0.95 and (others := [intid for stack in (*self.acked, *self.dropped) for intid in stack]):
            value = random.choice(others)  # deactivated by another than who acknowledged, or twice
        else:
            value = self._intid(random) | random.choice((0, 0, random.randrange(8) << 10))
        if offset != 0x1000:
            self.dropped[vcpu] = [*self.dropped[vcpu][-3:], value]
        return op.Write(vcpu, GICC, offset, 4, value)

    def _interface(self, random: Random) -> Operation:
        vcpu = self._runner(random)
        offset, values = random.choice(
            (
                (0x00, (1, 1, 3, 0x201, 0x203, 0x207, 7, 9, 0xB, 0x1F, 0x21F, 2, 0, WORD)),
                (0x04, (0xF8, 0xF8, 0xFF, 0xA0, 0x80, 0x50, 0x08, 0)),
                (0x08, tuple(range(8))),
                (0x1C, tuple(range(8))),
                (0xD0, (0, 0, 1 << 20, 1 << 10, 0x410, WORD)),
            )
        )
        return op.Write(vcpu, GICC, offset, 4, random.choice(values))

    def _enable(self, random: Random) -> Operation:
        word = self._word(random)
        block = random.choices((0x100, 0x180, 0x080), (5, 3, 1))[0]
        return op.Write(self._trapped(random), GICD, block + 4 * word, 4, self._bits(random, word))

    def _pending(self, random: Random) -> Operation:
        word = self._word(random)
        block = random.choices((0x200, 0x280), (3, 2))[0]
        return op.Write(self._trapped(random), GICD, block + 4 * word, 4, self._bits(random, word))

    def _active(self, random: Random) -> Operation:
        word = self._word(random)
        block = random.choices((0x300, 0x380), (1, 2))[0]
        return op.Write(self._trapped(random), GICD, block + 4 * word, 4, self._bits(random, word))

    def _priority(self, random: Random) -> Operation:
        intid = self._intid(random) % self.nr_irqs
        value = random.choice((0x00, 0x08, 0x50, 0x80, 0xA0, 0xA0, 0xF0, 0xF8, random.randrange(256)))
        if random.random() < 0.3:
            return op.Write(self._trapped(random), GICD, 0x400 + (intid & ~3), 4, value * 0x01010101)
        return op.Write(self._trapped(random), GICD, 0x400 + intid, 1, value)

    def _target(self, random: Random) -> Operation:
        intid = self._spi(random) % self.nr_irqs
        value = random.choice((0, 1, 1, 2, 2, 3, 6, 0x80, 0xFF))
        if random.random() < 0.1:
            return op.Write(self._trapped(random), GICD, 0x800 + (intid & ~3), 4, random.getrandbits(32))
        return op.Write(self._trapped(random), GICD, 0x800 + intid, 1, value)

    def _config(self, random: Random) -> Operation:
        word = random.choice((2, 2, 2, 3, 1, 0))
        return op.Write(
            self._trapped(random), GICD, 0xC00 + 4 * word, 4, random.choice((0, WORD, random.getrandbits(32)))
        )

    def _sgi(self, random: Random) -> Operation:
        vcpu, sgi = self._trapped(random), random.choice((0, 1, 2, 15))
        match random.randrange(8):
            case 0:
                return op.Write(vcpu, GICD, 0xF20 + sgi, 1, random.choice((1, 2, 3, 0, 0x80)))
            case 1:
                return op.Write(vcpu, GICD, 0xF10 + sgi, 1, random.choice((1, 2, 3, 0, 0xFF)))
            case 2:
                return op.Write(vcpu, GICD, random.choice((0xF10, 0xF20)) + (sgi & ~3), 4, random.getrandbits(32))
        targets, filter_ = random.choice((1, 2, 3, 0xFF, 0)), random.choices((0, 1, 2, 3), (6, 2, 2, 1))[0]
        noise = random.choice((0, 0, 0x8000, 0x7FF0))
        return op.Write(vcpu, GICD, 0xF00, 4, filter_ << 24 | targets << 16 | noise | sgi)

    def _control(self, random: Random) -> Operation:
        return op.Write(self._trapped(random), GICD, 0x000, 4, random.choice((0, 1, 1, 1, 3, WORD)))

    def _read(self, random: Random) -> Operation:
        plane = random.choice((op.Plane.GUEST, op.Plane.DEBUG))
        if random.random() < 0.5:
            block = random.choice((0x080, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380))
            return op.Read(self._trapped(random), GICD, block + 4 * self._word(random), 4, plane)
        if random.random() < 0.5:
            offset = random.choice((0x000, 0x004, 0x008, 0x400, 0x420, 0x800, 0x820, 0xC00, 0xC08, 0xF10, 0xF20, 0xFE8))
            return op.Read(self._trapped(random), GICD, offset, 4, plane)
        offset = random.choice((0x00, 0x04, 0x08, 0x14, 0x18, 0x1C, 0x28, 0xD0, 0xFC))
        return op.Read(self._runner(random), GICC, offset, 4, plane)

    def _wild(self, random: Random) -> Operation:
        """An access that no sane guest makes: any offset, width and frame."""
        space = random.choice((GICD, GICD, GICC, GICC, GICH, PHYSICAL, DEVICE, 7))
        address = random.randrange(0x2100) if random.random() < 0.7 else random.randrange(0x800) * 4
        if space == PHYSICAL:
            address += random.choice((0x0800_0000, 0x0801_0000, 0x0300_1000, 0x0300_2000, 0x2200_0000, 0))
        vcpu = random.choice((self._vcpu(random), self._vcpu(random), self.config.vcpus))
        size = random.choice((1, 2, 4, 4, 8, 3))
        if random.random() < 0.5:
            return op.Read(vcpu, space, address, size, random.choice((0, 0, 1, 2)))
        plane = random.choice((0, 0, 1, 2 if self.restores else 0))
        return op.Write(vcpu, space, address, size, random.getrandbits(8 * size), plane)

    # --- the board ----------------------------------------------------------------------------------------------

    def _line(self, random: Random) -> Operation:
        intid = self._intid(random)
        if intid < 16:
            return self._sgi(random)
        owner = self._vcpu(random) if intid < 32 else op.NO_VCPU
        return op.Line(intid, random.choice((1, 1, 1, 0)), owner, pulse=random.random() < 0.2)

    def _device(self, random: Random) -> Operation:
        """The domain's own devices: timer, event channel, UART."""
        if self.config.profile != "xen-guest" and random.random() < 0.8:
            return self._line(random)
        vcpu = self._trapped(random)
        match random.randrange(7):
            case 0 | 1:
                return op.Time(self.now + random.choice((0, 1, 100, 5000)))
            case 2:
                return op.EventChannel(self._vcpu(random), random.random() < 0.6)
            case 3:
                offset = random.choice((0, 8, 16, 24))
                return op.Write(
                    vcpu, DEVICE, offset, random.choice((4, 8)), random.choice((0, 1, 3, 50, self.now + 60))
                )
            case 4:
                return op.Console(bytes(random.randrange(256) for _ in range(random.randrange(20))))
            case 5:
                offset = random.choice((0x00, 0x18, 0x38, 0x3C, 0x40, 0x44, 0x2C, 0x30))
                return op.Write(
                    vcpu, PHYSICAL, 0x2200_0000 + offset, random.choice((1, 2, 4)), random.choice((0, 0x30, 0x7FF, 65))
                )
            case _:
                offset = random.choice((0x00, 0x18, 0x38, 0x3C, 0x40, 0xFE0))
                return op.Read(vcpu, PHYSICAL, 0x2200_0000 + offset, 4, random.choice((0, 0, 1)))

    def _hardware(self, random: Random) -> Operation:
        """Hardware-mapped interrupts; SPIs 32 to 35 belong to physical 72 to 75."""
        virq = random.choice(self.shared[:4]) if self.shared else 5
        pirq = virq + 40
        match random.randrange(8):
            case 0 | 1:
                return op.HwConnect(virq, pirq if random.random() < 0.9 else 20)
            case 2:
                return (
                    op.HwDisconnect(virq, random.choice((None, pirq, 99))) if random.random() < 0.3 else op.HwDesc(virq)
                )
            case 3:
                return op.VcpuMove(self._vcpu(random), random.randrange(4))
            case 4 if self.explicit:
                return op.HwIrq(pirq, virq)
            case _:
                return op.PhysLine(pirq, random.choice((1, 1, 0)))

    # --- the hypervisor -----------------------------------------------------------------------------------------

    def _switch(self, random: Random) -> Operation:
        """Explicit mode's world switches, and its freedom with the hardware; in automatic mode, the guest goes on."""
        vcpu = self._vcpu(random)
        if not self.explicit:
            if random.random() < 0.97:
                return random.choice((self._acknowledge, self._end, self._line, self._sgi))(random)
            return random.choice((op.Enter(vcpu), op.Exit(vcpu), op.LrSet(vcpu, 0, 0), op.Gich(vcpu, 0, 1)))
        if random.random() < 0.04 and self.inside:
            vcpu = random.choice(sorted(self.inside))
            if random.random() < 0.5:
                return op.Gich(vcpu, random.choice((0x00, 0x08, 0xF0)), random.getrandbits(32))
            word = random.getrandbits(32) & ~0x3FF | self._intid(random)
            return op.LrSet(vcpu, random.randrange(min(self.config.lrs + 1, 3)), random.choice((0, word)))
        return op.Exit(vcpu) if vcpu in self.inside else op.Enter(vcpu)

    def _mode(self, random: Random) -> Operation:
        return op.Mode(random.random() < 0.5)

    def _restore(self, random: Random) -> Operation:
        """The RESTORE plane: state set from outside, in any order and combination."""
        vcpu, word = self._trapped(random), self._word(random)
        block = random.choice((0x080, 0x100, 0x180, 0x200, 0x200, 0x280, 0x300, 0x300, 0x380))
        space, offset, value = random.choice(
            (
                (GICD, block + 4 * word, self._bits(random, word)),
                (GICD, block + 4 * word, self._bits(random, word)),
                (GICD, 0x000, random.choice((0, 1))),
                (GICD, 0x008, random.choice((0x4B01043B, 0x4B01143B, 0x4B01243B, 0))),
                (GICD, 0x400 + 4 * random.randrange(self.nr_irqs // 4), random.getrandbits(32)),
                (GICD, 0x820, random.getrandbits(32)),
                (GICD, 0xC08, random.getrandbits(32)),
                (GICD, random.choice((0xF10, 0xF20)), random.getrandbits(32)),
                (GICC, random.choice((0x00, 0x04, 0x08, 0x1C, 0xD0)), random.choice((0, 1, 3, 0xF8, 0x201, WORD))),
                (GICH, random.choice((0x00, 0x08, 0xF0, 0x100)), random.getrandbits(32)),
            )
        )
        return op.Write(vcpu, space, offset, 4, value, op.Plane.RESTORE)

    def _look(self, random: Random) -> Operation:
        """Operations that must change nothing."""
        vcpu, intid = self._vcpu(random), self._intid(random)
        return random.choice(
            (
                op.PendingCheck(vcpu),
                op.EventChannelPending(vcpu),
                op.LrGet(vcpu),
                op.IrqInfo(intid, vcpu if intid < 32 else op.NO_VCPU),
                op.Dump(random.randrange(2)),
                op.Stats(),
                op.Snapshot(),
                op.HwDesc(intid),
            )
        )

    def _rare(self, random: Random) -> Operation:
        """Allocation, power, the hypercall, requests with nonsense in them."""
        vcpu, intid = self._vcpu(random), self._intid(random)
        return random.choice(
            (
                op.VirqAlloc(random.random() < 0.5),
                op.VirqReserve(intid),
                op.VirqFree(intid),
                op.VcpuPower(vcpu, random.random() < 0.7),
                op.SetIrqLevel(intid, random.choice((0, 1, 2)), random.choice((0, 0, 1))),
                op.Line(random.choice((1020, 5000, self.nr_irqs, 3)), 1, random.choice((op.NO_VCPU, 9))),
                op.Line(33, 2),
                op.Enter(self.config.vcpus),
                op.IrqInfo(self.nr_irqs),
                op.PhysLine(random.choice((20, 1020, 72)), random.choice((1, 2))),
                op.VcpuMove(vcpu, 300),
                op.Time(-1),
                op.Time(max(self.now - 1, 0)),
                op.Restore({}),
                op.Restore({"nonsense": (1,)}),
                op.Reset(),
                op.Reset(replace(self.config, vcpus=9)),
                op.Reset(replace(self.config, lrs=0)),
            )
        )
