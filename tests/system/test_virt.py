"""What the VMX and SVM backends do behind the guest's back: nothing of it may show."""

import dataclasses

import pytest
from vehicle import EPYC, HASWELL, SKYLAKE, SYSTEM, TINY, boot, elf, guest

BACKENDS = (*TINY, HASWELL)


def passes(vehicle, path, name, cmdline="", cpus=1):
    config = SYSTEM + guest(name, f"{name}.elf", cpus=f"0-{cpus - 1}", cmdline=cmdline or None)
    result = boot(vehicle, path, config, [elf(name)], smp=cpus)
    assert f"PASS {name}" in result.guest(name)
    result.ended(1, 0)
    return result


@pytest.mark.parametrize("vehicle", BACKENDS, ids=str)
def test_registers_do_not_leak(tmp_path, vehicle):
    """Three restarts and an INIT: reset values after the former, kept values after the latter."""
    result = passes(vehicle, tmp_path, "leak", "cpus=2", 2)
    assert [x for x in result.guest("leak") if x.startswith("start")] == [
        "start 0", "start 1", "start 2", "start 3"]


@pytest.mark.parametrize("vehicle", BACKENDS, ids=str)
def test_debug_exceptions_and_nmis(tmp_path, vehicle):
    passes(vehicle, tmp_path, "debug")


@pytest.mark.parametrize("vehicle", BACKENDS, ids=str)
def test_cr8(tmp_path, vehicle):
    passes(vehicle, tmp_path, "tpr")


# Bochs takes no physical interrupt on SVM while the guest's IF is 0 (docs/quirks.md).
@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
def test_spinning_neighbour(tmp_path, vehicle):
    """A guest with interrupts off on the console's CPU does not keep another one from talking."""
    config = (SYSTEM + guest("spin", "spin.elf", cpus="0")
              + guest("timer", "timer.elf", cpus="1"))
    result = boot(vehicle, tmp_path, config, [elf("spin"), elf("timer")], smp=2,
                  until=r"timer: ended: debug-exit with status 0")
    assert "spinning" in result.guest("spin")
    assert "PASS timer" in result.guest("timer")


def test_code_in_large_leaves(tmp_path):
    """The mitigation of iTLB multihit, on a model that is affected; test_linux boots with it and without."""
    config = SYSTEM + guest("fetch", "fetch.elf", cpus="0-1", memory="40M")
    result = boot(SKYLAKE, tmp_path, config, [elf("fetch")], smp=2)
    assert "iTLB multihit: CPU 0 is affected: guests run code from 4 KiB leaves" in result.log()
    assert result.guest("fetch") == ["life 0", "life 1", "PASS fetch"]
    result.ended(1, 0)


def test_no_virtualization(tmp_path):
    """A CPU without VMX and SVM: one line tells, and nothing is started."""
    vehicle = dataclasses.replace(EPYC, cpu="EPYC,-svm")
    config = SYSTEM + guest("spin", "spin.elf")
    result = boot(vehicle, tmp_path, config, [elf("spin")], until=r"this CPU cannot run.*\n")
    result.expect(r"^missing: SVM \(guests run in it\)", result.log())
    assert not result.guest("spin")


def test_no_nested_paging(tmp_path):
    vehicle = dataclasses.replace(EPYC, cpu="EPYC,-npt")
    config = SYSTEM + guest("spin", "spin.elf")
    result = boot(vehicle, tmp_path, config, [elf("spin")], until=r"this CPU cannot run.*\n")
    result.expect(r"^missing: SVM nested paging", result.log())
    assert not result.guest("spin")
