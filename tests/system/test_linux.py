"""Debian's kernels as guests: what the guest sees of its machine, and how long it takes."""

import re
import time

import pytest
from vehicle import (BROADWELL, EPYC, GUESTS, HASWELL, LINUX, MAX, SANDY_BRIDGE, SKYLAKE, SYSTEM,
                     ZAMBEZI, boot, elf, guest)

DEFAULT = "console=ttyS0 quiet cryptomgr.notests mullion.test=poweroff"
BOCHS_CLOCK = 1700000000  # as run-bochs sets it
# What these kernels print on these CPUs natively as well.
NATIVE = re.compile(r"Speculative Return Stack Overflow|Spectre|MDS|TAA|MMIO Stale")


def linux(vehicle, path, cpus, cmdline=DEFAULT, kernel="bzImage", initrd="initrd.img", others="",
          files=(), smp=None, timeout=None, until=None, words="", **keys):
    config = SYSTEM + guest("linux", kernel, cpus=f"0-{cpus - 1}", memory="512M", initrd=initrd,
                            cmdline=f'"{cmdline}"', debug_exit=None, **keys) + others
    # At fewer instructions a second than this, booting looks like a lockup to the kernel's watchdog.
    options = ["--ips", "20000000"] if vehicle.bochs else []
    return boot(vehicle, path, config, [LINUX / kernel, LINUX / initrd, *files], words, smp=smp or cpus,
                memory=768, timeout=timeout or (600 if vehicle.bochs else 240), options=options,
                until=until)


def facts(result):
    pairs = [x[6:].split("=", 1) for x in result.guest("linux") if x.startswith("fact: ")]
    found = {p[0]: p[1] for p in pairs if len(p) == 2}
    assert ["end"] in pairs, "the guest did not tell all its facts"
    return found


def check_quiet(result):
    """No complaint that the kernel would not have natively."""
    bad = re.compile(r"BUG|WARNING|[Ll]ockup|APIC error|unstable|Call Trace")
    assert not [x for x in result.guest("linux") if bad.search(x) and not NATIVE.search(x)]


def check_clock(found, vehicle):
    ticks = int(found["sleep_tsc"])
    assert abs(ticks / (float(found["tsc_mhz"]) * 1e6) - 1) < 0.02
    # The emulators' clocks: Bochs's starts at a fixed date, minutes of virtual time before.
    now, off = (BOCHS_CLOCK + 300, 300) if vehicle.bochs else (time.time(), 60)
    assert abs(int(found["rtc"]) - now) <= off
    assert abs(int(found["rtc"]) - int(found["date"])) <= 2


def check_interrupts(found, cpus):
    timers = [int(n) for n in found["LOC"].split()]
    assert len(timers) == cpus and min(timers) > 0
    if cpus > 1:
        kinds = [[int(n) for n in found[k].split()] for k in ("RES", "CAL", "TLB")]
        assert min(sum(counts) for counts in zip(*kinds)) > 0


def check(result, vehicle, cpus, clocksource="tsc"):
    result.ended(1, 0)
    found = facts(result)
    assert int(found["nproc"]) == cpus
    assert found["clocksource"] == clocksource
    check_clock(found, vehicle)
    check_interrupts(found, cpus)
    check_quiet(result)
    return found


@pytest.mark.parametrize("vehicle,cpus,word,code", [
    (SKYLAKE, 2, "split", "split by the command line: guests run code from 4 KiB leaves"),
    (HASWELL, 2, "trust", "trusted by the command line: guests run code from large leaves, and can stop this "
                          "machine by a machine check"),
    (EPYC, 2, "split", None),
    (MAX, 2, "", None),
    (EPYC, 4, "", None),
], ids=["skylake-2", "haswell-2", "epyc-2", "max-2", "epyc-4"])
def test_default(tmp_path, vehicle, cpus, word, code):
    """With the mitigation of iTLB multihit and without; with SVM there is nothing to say of it."""
    result = linux(vehicle, tmp_path, cpus, words=word and f"multihit={word}")
    check(result, vehicle, cpus)
    told = [line for line in result.log() if line.startswith("iTLB multihit: ")]
    assert told == ([f"iTLB multihit: {code}"] if code else [])


@pytest.mark.alone(bochs=True)
@pytest.mark.parametrize("vehicle,limit", [(SKYLAKE, 40), (EPYC, 15)], ids=str)
def test_time_to_init(tmp_path, vehicle, limit):
    """From the emulator's start to the guest's init, with one vCPU, in the emulator's CPU time."""
    result = linux(vehicle, tmp_path, 1, until=r"^linux\| fact: init=")
    print(f"init after {result.cpu:.1f} s of CPU time, {result.seconds:.1f} s in all")
    assert 1 < result.cpu < limit


@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
def test_bare_command_line(tmp_path, vehicle):
    result = linux(vehicle, tmp_path, 1, cmdline="console=ttyS0", initrd="initrd-poweroff.img",
                   timeout=900)
    check(result, vehicle, 1)


@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
@pytest.mark.parametrize("option", ["nox2apic", "maxcpus=1", "lapic=notscdeadline"])
def test_option(tmp_path, vehicle, option):
    result = linux(vehicle, tmp_path, 2, cmdline=f"{DEFAULT} {option}")
    check(result, vehicle, 1 if option == "maxcpus=1" else 2)


@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
def test_without_apic(tmp_path, vehicle):
    """The PIC and the PIT alone; without ACPI there is no power-off, so a reset ends it."""
    result = linux(vehicle, tmp_path, 1, on_reset="stop",
                   cmdline=DEFAULT.replace("poweroff", "reboot") + " acpi=off nolapic")
    result.ended(1, 0)
    found = facts(result)
    assert found["nproc"] == "1"
    assert re.search(r"(^|;)0:\d+ XT-PIC timer", found["interrupts"])
    check_clock(found, vehicle)
    check_quiet(result)


@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
def test_generic_kernel(tmp_path, vehicle):
    result = linux(vehicle, tmp_path, 1, kernel="bzImage-generic", timeout=900)
    check(result, vehicle, 1)
    assert not facts(result)["kernel"].count("cloud")


@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
def test_32_bit_kernel(tmp_path, vehicle):
    result = linux(vehicle, tmp_path, 1, kernel="bzImage-i386", initrd="initrd32.img", timeout=900)
    result.ended(1, 0)
    assert facts(result)["init"] == "32"


@pytest.mark.parametrize("vehicle", [BROADWELL, SANDY_BRIDGE, ZAMBEZI], ids=str)
def test_other_models(tmp_path, vehicle):
    """The rest of those in Bochs that run Linux natively."""
    check(linux(vehicle, tmp_path, 1), vehicle, 1)


@pytest.mark.alone
@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
def test_beside_ticker(tmp_path, vehicle):
    """The demo: Linux boots and ends while the second guest counts on, and loses no tick."""
    hz = 100 if vehicle.bochs else 10
    seconds = 20 if vehicle.bochs else 15
    result = linux(vehicle, tmp_path, 1, smp=2, files=[elf("ticker")],
                   others=guest("ticker", "ticker.elf", cpus="1", memory="4M",
                                cmdline=f"hz={hz} seconds={seconds}"))
    result.ended(2, 0)
    assert facts(result)["clocksource"] == "tsc"
    ticks = re.findall(r"ticker: (\d+) ticks, lost (\d+)", result.text)
    assert len(ticks) == seconds
    assert {lost for _, lost in ticks} == {"0"}
