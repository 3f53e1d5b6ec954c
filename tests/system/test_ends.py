"""How a guest ends, what is said about it, and that nobody else notices."""

import re

import pytest
from vehicle import EPYC, MAX, SKYLAKE, SYSTEM, TINY, boot, elf, guest

# How, whether it counts as success, the line that tells.
ENDS = [
    ("pass", True, r"ended: debug-exit with status 0"),
    ("exit3", False, r"ended: debug-exit with status 3"),
    ("s5", True, r"powered off: ACPI S5"),
    ("cf9", True, r"reset: port 0xcf9"),
    ("port92", True, r"reset: port 0x92"),
    ("keyboard", True, r"reset: "),
    ("triple", False, r"crashed: triple fault"),
    ("gp", False, r"crashed: triple fault"),
    ("fetch", False, r"stopped: "),
    ("unknown", False, r"stopped: "),
]
# Bochs resets the machine itself when a guest on SVM has a triple fault.
NO_SHUTDOWN_EXIT = ("triple", "gp")


@pytest.mark.parametrize("vehicle", TINY, ids=str)
@pytest.mark.parametrize("how,good,line", ENDS, ids=[e[0] for e in ENDS])
def test_end(tmp_path, vehicle, how, good, line):
    if how in NO_SHUTDOWN_EXIT and vehicle.bochs and vehicle.svm:
        pytest.skip("Bochs 2.7 has no SHUTDOWN exit")
    config = SYSTEM + guest("end", "end.elf", cmdline=f"how={how}", on_reset="stop")
    result = boot(vehicle, tmp_path, config, [elf("end")])
    result.expect(rf"^end: {line}", result.log())
    assert not [x for x in result.guest("end") if x.startswith("FAIL")]
    result.ended(*((1, 0) if good else (0, 1)))


def test_report_of_unknown_instruction(tmp_path):
    """The report shows bytes, registers and mode: 0f ae is FXSAVE."""
    config = SYSTEM + guest("end", "end.elf", cmdline="how=unknown")
    result = boot(EPYC, tmp_path, config, [elf("end")])
    result.expect(r"code:.* 0f ae", result.log())
    result.expect(r"64-bit code, CPL 0", result.log())
    result.expect(r"rip 0018:0000000000\w{6}", result.log())


@pytest.mark.parametrize("how", ["cf9", "port92", "keyboard"])
def test_restart_after_reset(tmp_path, how):
    """on-reset = restart is the default: the guest starts anew from its image, every time."""
    config = SYSTEM + guest("end", "end.elf", cmdline=f"how={how}")
    start = r"^end\| end: end.elf how=.*?"
    boot(SKYLAKE if how == "cf9" else MAX, tmp_path, config, [elf("end")], until=start * 3)


def test_restart_after_crash(tmp_path):
    config = SYSTEM + guest("end", "end.elf", cmdline="how=triple", on_crash="restart")
    boot(MAX, tmp_path, config, [elf("end")], until=r"^end\| end: end.elf.*?" * 3)


# A neighbour that ends, restarts, fails, hangs with interrupts off, or prints without end.
NEIGHBOURS = ["triple", "cf9", "s5", "fetch", "unknown", "deaf", "flood"]


@pytest.mark.alone
@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
@pytest.mark.parametrize("how", NEIGHBOURS)
def test_isolation(tmp_path, vehicle, how):
    """The ticker loses no tick while its neighbour does its worst, and ends as it should."""
    hz, seconds = (100, 2) if vehicle.bochs else (10, 3)
    config = (
        SYSTEM
        + guest("ticker", "ticker.elf", cmdline=f"hz={hz} seconds={seconds}", memory="4M")
        + guest("end", "end.elf", cpus="1", cmdline=f"how={how} late",
                on_reset="restart" if how == "cf9" else "stop")
    )
    # The flood gets a CPU for the console: where there is none to spare, what Mullion does for the
    # console is done on the ticker's CPU, and at Bochs's few instructions a second that is most of it.
    smp = 3 if how == "flood" else 2
    result = boot(vehicle, tmp_path, config, [elf("ticker"), elf("end")], smp=smp,
                  until=r"^mullion: ticker: powered off")
    ticks = [re.match(r"ticker: (\d+) ticks, lost (\d+)", x) for x in result.guest("ticker")]
    ticks = [(int(m[1]), int(m[2])) for m in ticks if m]
    # Each second it tells; where the host has paused it, in the middle of ticks that come together.
    assert len(ticks) == seconds
    assert all(0 <= t - hz * (i + 1) < hz / 2 for i, (t, _) in enumerate(ticks))
    assert all(lost == 0 for _, lost in ticks)
    assert result.guest("end"), "the neighbour never ran"
