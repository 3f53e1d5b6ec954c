"""Planted faults: each leaves its own sentence on the serial line, on the screen, and in the log of the next
boot.

What an emulator can do for real it does: CPUs without features, little memory, files cut off. What it
cannot is done by a debugger in place of broken firmware: tables and registers are changed before the
hypervisor looks at them. Panic and double fault are drills that the command line asks for.
"""

import dataclasses
import re
import struct
from typing import Callable, Optional

import pytest
from machine import Machine, symbol
from vehicle import elf, guest, make_image

MSR_VM_CR = 0xC0010114
VM_CR_LOCK, VM_CR_SVMDIS = 1 << 3, 1 << 4


# --- what broken firmware would have left: by debugger, while boot_main is about to run ---

def tags(d):
    """Address and type of the loader's tags."""
    at = d.register("rsi") + 8
    while True:
        kind, size = struct.unpack("<II", d.read(at, 8))
        if not kind:
            return
        yield at, kind
        at += -(-size // 8) * 8


def rsdt(d):
    at = next(at for at, kind in tags(d) if kind == 14)
    return struct.unpack("<I", d.read(at + 8 + 16, 4))[0]


def table(d, name):
    """Address and contents of an ACPI table."""
    root = rsdt(d)
    size = struct.unpack("<I", d.read(root + 4, 4))[0]
    for (at,) in struct.iter_unpack("<I", d.read(root + 36, size - 36)):
        if d.read(at, 4) == name:
            return at, bytearray(d.read(at, struct.unpack("<I", d.read(at + 4, 4))[0]))
    raise KeyError(name)


def seal(data):
    data[9] = 0
    data[9] = -sum(data) & 0xff
    return bytes(data)


def no_rsdp(d):
    d.run_to(symbol("boot_main"))
    for at, kind in list(tags(d)):
        if kind in (14, 15):
            d.write(at, struct.pack("<I", 1000))


def broken_madt(d):
    """An entry of length 0 would be read for ever by who believes it."""
    d.run_to(symbol("boot_main"))
    at, data = table(d, b"APIC")
    data[44 + 1] = 0
    d.write(at, seal(data))


def absent_cpu(d):
    """The MADT says that CPU 1 is there."""
    d.run_to(symbol("boot_main"))
    at, data = table(d, b"APIC")
    offset = 44
    while data[offset] != 0 or data[offset + 3] != 1:
        offset += data[offset + 1]
    data[offset + 4] |= 1
    d.write(at, seal(data))


def svm_locked(d):
    """VM_CR as a firmware setup with virtualization off leaves it."""
    rdmsr = symbol("host_rdmsr")
    for _ in range(100):
        d.run_to(rdmsr)
        if d.register("rdi") & 0xffffffff == MSR_VM_CR:
            break
    else:
        raise AssertionError("VM_CR is never read")
    value = d.register("rsi")
    d.run_to(struct.unpack("<Q", d.read(d.register("rsp"), 8))[0])
    d.write(value, struct.pack("<Q", VM_CR_LOCK | VM_CR_SVMDIS))


# --- what a user could do to the boot medium ---

def replace(old, new):
    """The same bytes wherever they stand in the image; both have the same length."""
    def plant(image):
        data = image.read_bytes()
        assert old in data and len(old) == len(new)
        image.write_bytes(data.replace(old, new))
    return plant


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    sentence: str  # a pattern: what the log says
    machine: dict = dataclasses.field(default_factory=dict)
    firmware: Optional[Callable] = None  # takes the debugger
    medium: Optional[Callable] = None  # takes the image
    cmdline: str = ""
    cut: int = 0  # bytes of the guest's kernel that are there; 0: all
    boot: str = "SeaBIOS, GRUB"  # or "OVMF, GRUB" or "OVMF, own loader"

    def __str__(self):
        return self.name if self.boot == "SeaBIOS, GRUB" else f"{self.name} {self.boot}"


CONFIG_ERROR = Fault("config error", r"refused: mullion\.conf:6:10: error: '16X' is not a size",
                     medium=replace(b"memory = 16M", b"memory = 16X"))
PANIC = Fault("panic", r"stopped: boot/drill\.c:\d+: drill_panic \(CPU 0\); this is a defect of Mullion",
              cmdline="drill=panic")
FAULTS = [
    Fault("no SVM", r"missing: SVM \(guests run in it\)", {"cpu": "EPYC,-svm"}),
    Fault("SVM locked off", r"missing: CPU 0: virtualization \(SVM\) is switched off in the firmware setup",
          firmware=svm_locked),
    Fault("no NX", r"stopped: this CPU has no no-execute pages", {"cpu": "EPYC,-nx"}),
    Fault("little RAM", r"refused: mullion\.conf:6:10: error: guest 'basic' wants 16M, but \d+K of this machine are left",
          {"memory": 16}),
    Fault("no ACPI", r"stopped: the loader passed no ACPI RSDP", firmware=no_rsdp),
    Fault("broken MADT", r"stopped: ACPI: APIC at 0x\w+: the length of the entry at offset 0x2c does not fit",
          firmware=broken_madt),
    Fault("missing module", r"refused: mullion\.conf:7:10: error: .*basic65\.elf",
          medium=replace(b"kernel = basic64.elf", b"kernel = basic65.elf")),
    CONFIG_ERROR,
    Fault("truncated kernel", r"basic: stopped: basic64\.elf: program header 0 .* ends beyond the file", cut=5000),
    Fault("absent CPU", r"CPU with APIC id 1 did not start \(it gave no sign of life\); skipped",
          {"smp": "1,maxcpus=2"}, firmware=absent_cpu),
    PANIC,
    Fault("double fault", r"stopped: #DF \(vector 8, error code 0x0\) in the hypervisor on CPU 0",
          cmdline="drill=double-fault"),
    dataclasses.replace(CONFIG_ERROR, boot="OVMF, GRUB"),
    dataclasses.replace(PANIC, boot="OVMF, own loader"),
]

CONFIG = "[system]\nconsole = com1, framebuffer\nwhen-all-stopped = halt\n" + guest("basic", "basic64.elf", cmdline="word number=42")


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_fault(tmp_path, record_property, fault):
    kernel = elf("basic64")
    if fault.cut:
        (tmp_path / kernel.name).write_bytes(kernel.read_bytes()[:fault.cut])
    if fault.boot == "OVMF, own loader":
        boot = f'[boot]\ncmdline = "{fault.cmdline}"\n'
        image = make_image(tmp_path, CONFIG + boot, [kernel], options=["--efi-only"])
    else:
        image = make_image(tmp_path, CONFIG, [kernel], cmdline=fault.cmdline)
    if fault.medium:
        fault.medium(image)
    with Machine(image, debug=fault.firmware is not None, uefi="OVMF" in fault.boot, **fault.machine) as m:
        if m.debugger:
            if fault.firmware:
                fault.firmware(m.debugger)
            m.debugger.go()
        said = m.wait(rf"^mullion: ({fault.sentence}[^\n]*)\n")[1]
        m.shows("mullion: " + said)
        assert "last time" not in m.text()
        m.reset()
        m.wait(rf"^mullion: last time: {re.escape(said)}\n")
    record_property("machine", {"planted fault": fault.name, "started by": fault.boot,
                                "on serial, on screen, and in the next boot's log": said[:80]})


def broken_fadt(d):
    d.run_to(symbol("boot_main"))
    at, data = table(d, b"FACP")
    d.write(at + 9, bytes([data[9] ^ 1]))


def test_what_is_broken_and_not_needed(tmp_path):
    """Without FADT and 8254 there is no power-off, and the HPET is the clock; guests run all the same."""
    image = make_image(tmp_path, CONFIG, [elf("basic64")])
    with Machine(image, debug=True, machine="q35,pit=off") as m:
        broken_fadt(m.debugger)
        m.debugger.go()
        m.wait(r"^mullion: ACPI: FACP at 0x\w+: its checksum is wrong; left out\n.*^mullion: TSC: [\d.]+ MHz by HPET\n"
               r".*^basic\| PASS basic64\n.*^mullion: all guests ended: 1 ok, 0 failed")


def test_no_long_mode(tmp_path):
    """No CPU without 64-bit mode gets as far as C code: start.asm itself finds the words."""
    image = make_image(tmp_path, CONFIG, [elf("basic64")])
    with Machine(image, cpu="EPYC,-lm") as m:
        said = m.wait(r"^M\n(mullion: stopped: this CPU has no 64-bit mode [^\n]*)\n")[1]
        m.shows(said)


def test_reboot_in_order(tmp_path):
    """What ended as it should is shown in short."""
    image = make_image(tmp_path, CONFIG.replace("halt", "reboot"), [elf("basic64")])
    with Machine(image) as m:
        m.wait(r"last time: boot 1 came to its end in order\n.*^mullion: all guests ended")
        lines = re.findall(r"^mullion: last time: (.*)$", m.text().split("came to its end", 1)[1], re.M)
        assert len(lines) == 20
        assert lines[-1] == "all guests ended: 1 ok, 0 failed"
