"""The tiny guests of tests/guest: each checks itself and says PASS."""

import pytest
from vehicle import GUESTS, SYSTEM, TINY, boot, elf, guest

# Guest, command line, CPUs.
PLAIN = [
    ("basic32", "", 1),
    ("paging32", "", 1),
    ("pae32", "", 1),
    ("basic64", "word number=42", 1),
    ("io", "", 1),
    ("mmio", "", 1),
    pytest.param("cpuid", "", 1, marks=pytest.mark.alone),  # measures timers
    ("msr", "", 1),
    ("control", "", 1),
    ("exceptions", "", 1),
    ("shadow", "", 1),
    ("nmi", "", 1),
    pytest.param("timer", "", 1, marks=pytest.mark.alone),
    ("pic", "", 1),
    ("ioapic", "", 1),
    ("x2apic", "", 1),
    ("smp", "cpus=2", 2),
]


def passes(vehicle, path, name, cmdline, cpus, **keys):
    config = SYSTEM + guest(name, f"{name}.elf", cpus=f"0-{cpus - 1}", cmdline=cmdline or None, **keys)
    result = boot(vehicle, path, config, [elf(name)], smp=cpus)
    assert f"PASS {name}" in result.guest(name)
    result.ended(1, 0)
    return result


@pytest.mark.parametrize("vehicle", TINY, ids=str)
@pytest.mark.parametrize("name,cmdline,cpus", PLAIN, ids=[getattr(p, "values", p)[0] for p in PLAIN])
def test_guest(tmp_path, vehicle, name, cmdline, cpus):
    # Some models of these emulators let illegal values through that a CPU refuses.
    if vehicle.svm:
        cmdline += " lax no-dr6" if vehicle.bochs else " lax"
    passes(vehicle, tmp_path, name, cmdline.strip(), cpus)


@pytest.mark.parametrize("vehicle", TINY, ids=str)
def test_real_mode(tmp_path, vehicle):
    config = SYSTEM + guest("real", "real16.bin", memory="1M", load="0x7c00", entry="0x7c00")
    result = boot(vehicle, tmp_path, config, [GUESTS / "real16.bin"])
    assert "PASS real16" in result.guest("real")
    result.ended(1, 0)


@pytest.mark.parametrize("vehicle", TINY[2:], ids=str)
def test_four_cpus(tmp_path, vehicle):
    passes(vehicle, tmp_path, "smp", "cpus=4", 4)


@pytest.mark.parametrize("vehicle", TINY, ids=str)
def test_boot_information(tmp_path, vehicle):
    for name, text in (("one.mod", b"module-1"), ("two.mod", b"module-2")):
        (tmp_path / name).write_bytes(text)
    config = SYSTEM + guest("info", "bootinfo.elf", cmdline="memory=16",
                            module=["one.mod with arguments", "two.mod"])
    result = boot(vehicle, tmp_path, config, [elf("bootinfo")])
    assert "PASS bootinfo" in result.guest("info")
    result.ended(1, 0)
