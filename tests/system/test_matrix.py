"""The boot matrix: firmware, loader, medium, CPUs, memory, chipset and CPU model, in both emulators.

Tiny guests run on the first and on the last CPU. Which machines: matrix.py; conftest.py prints what
came of them as a table.
"""

import dataclasses
import itertools

import matrix
import pytest
from vehicle import SYSTEM, Vehicle, elf, guest, make_image, run

LOADERS = ("GRUB", "own")

QEMU = {
    "firmware": ("SeaBIOS", "OVMF"),
    "loader": LOADERS,
    "medium": ("cd", "usb", "sata", "nvme"),
    "CPUs": (1, 2, 4, 16),
    "MiB": (128, 1024, 3072, 6144),
    "chipset": ("q35", "i440fx"),
    "CPU": ("EPYC", "EPYC-Milan", "max", "qemu64,+svm,+npt"),
}

# Memory: Bochs swaps to a file above 2 GiB.
BOCHS = {
    "firmware": ("Bochs's", "SeaBIOS"),
    "medium": ("cd", "disk"),
    "CPUs": (1, 2, 4),
    "MiB": (128, 1024, 2048),
    "CPU": ("corei7_sandy_bridge_2600k", "corei7_haswell_4770", "broadwell_ult", "corei7_skylake_x",
            "corei7_icelake_u", "tigerlake", "zambezi", "ryzen"),
}


@dataclasses.dataclass(frozen=True)
class Machine:
    bochs: bool
    row: tuple

    @property
    def axes(self):
        return dict(zip(BOCHS if self.bochs else QEMU, self.row))

    def __str__(self):
        return "-".join(str(v) for v in self.row)


def qemu_allowed(row):
    firmware, loader = row[:2]
    return loader == "GRUB" or firmware == "OVMF"


def qemu_cost(row):
    """About seconds."""
    firmware, _, _, cpus = row[:4]
    return (4 if firmware == "OVMF" else 1) + cpus / 8


def bochs_allowed(row):
    firmware, _, cpus = row[:3]
    return firmware != "SeaBIOS" or cpus == 1  # its tables show no more in Bochs


def bochs_cost(row):
    return 1 + row[2] / 2


MACHINES = ([Machine(False, row) for row in matrix.pairwise(QEMU.values(), qemu_allowed, qemu_cost)]
            + [Machine(True, row) for row in matrix.pairwise(BOCHS.values(), bochs_allowed, bochs_cost)])


IMAGES = {}


def image(factory, cpus, options=()):
    """By the number of CPUs, which two guests take the first and the last of; made once."""
    key = (cpus, options)
    if key not in IMAGES:
        config = SYSTEM + guest("first", "basic64.elf", cmdline="word number=42")
        if cpus > 1:
            config += guest("last", "basic64.elf", cpus=str(cpus - 1), cmdline="word number=42")
        IMAGES[key] = make_image(factory.mktemp("matrix"), config, [elf("basic64")],
                                 options=("--timeout", "0", *options))
    return IMAGES[key]


def start(machine, factory, record_property, timeout=240):
    axes = machine.axes
    record_property("machine", {"emulator": "Bochs" if machine.bochs else "QEMU", **axes})
    vehicle = Vehicle(axes["CPU"], "run-bochs" if machine.bochs else "run-qemu", axes["CPU"])
    options = ["--media", axes["medium"]]
    if machine.bochs:
        options += ["--bios", "seabios" if axes["firmware"] == "SeaBIOS" else "bochs"]
    else:
        options += ["--machine", axes["chipset"]]
        options += ["--uefi"] if axes["firmware"] == "OVMF" else []
    made = image(factory, axes["CPUs"], ("--efi-only",) if axes.get("loader") == "own" else ())
    result = run(vehicle, made, smp=axes["CPUs"], memory=axes["MiB"], timeout=timeout,
                 options=options)
    names = ["first", "last"][:axes["CPUs"]]
    for name in names:
        assert "PASS basic64" in result.guest(name)
    result.ended(len(names), 0)
    result.expect(rf"^{axes['CPUs']} CPUs?$", result.log())


@pytest.mark.parametrize("machine", MACHINES, ids=str)
def test_machine(machine, tmp_path_factory, record_property):
    start(machine, tmp_path_factory, record_property)


def test_255_cpus(tmp_path_factory, record_property):
    """As many as APIC ids of 8 bits and the emulator allow."""
    row = ("SeaBIOS", "GRUB", "cd", 255, 1024, "q35", "EPYC")
    start(Machine(False, row), tmp_path_factory, record_property, timeout=600)


# --- the generator itself ---

def test_pairwise_has_all_pairs_and_no_others():
    axes = ((0, 1), "abc", (False, True), (1, 2, 3, 4))

    def allowed(row):
        return row[0] == 0 or row[3] < 3

    rows = matrix.pairwise(axes, allowed, lambda row: 1)
    assert rows == matrix.pairwise(axes, allowed, lambda row: 1)
    assert all(map(allowed, rows))
    wanted = set().union(*(matrix.pairs(r) for r in itertools.product(*axes) if allowed(r)))
    assert set().union(*map(matrix.pairs, rows)) == wanted
    assert ((0, 1), (3, 3)) not in wanted and ((0, 1), (3, 2)) in wanted
    assert 12 <= len(rows) <= 16  # 3 times 4 pairs of the longest axes need that many


def test_table():
    lines = matrix.table([{"CPU": "b", "result": "ok"}, {"CPU": "a", "result": "failed"}])
    assert lines == ["CPU  result", "a    failed", "b    ok", ""]
