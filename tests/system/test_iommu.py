"""DMA remapping: each emulated unit comes on, and a guest without devices does not notice."""

import re

import pytest
from test_console import Terminal
from vehicle import EPYC, LINUX, SYSTEM, boot, elf, guest, make_image

VTD = r"VT-d: unit at 0xfed90000: version 1\.0, "
ON = "on, 1 unit, all devices blocked, interrupts "
UNITS = {
    "vtd": ("intel-iommu,intremap=on,caching-mode=on,aw-bits=48,device-iotlb=on",
            VTD + "48-bit addresses, 4 levels, .*interrupt remapping, caching mode", ON + "remapped"),
    "vtd-39": ("intel-iommu,intremap=off", VTD + "39-bit addresses, 3 levels", ON + "not remapped"),
    "amdvi": ("amd-iommu", r"AMD-Vi: unit at 0xfed80000, device 00:02\.0", ON + "remapped"),
}


@pytest.mark.parametrize("unit", UNITS)
def test_linux_and_its_terminal(tmp_path, unit):
    """What is typed arrives by an interrupt of the machine's I/O APIC, which the unit remaps."""
    device, found, on = UNITS[unit]
    config = SYSTEM + guest("linux", "bzImage", memory="256M", initrd="initrd.img", debug_exit=None,
                            cmdline='"console=ttyS0 quiet cryptomgr.notests"')
    image = make_image(tmp_path, config, [LINUX / "bzImage", LINUX / "initrd.img"])
    terminal = Terminal(image, "--cpu", EPYC.cpu, "--", "-device", device)
    try:
        terminal.wait(f"^mullion: {found}")
        terminal.wait(f"^mullion: (VT-d|AMD-Vi): {on}$")
        terminal.wait(r"^linux\| / # ")
        terminal.type("echo $((6 * 7))\n")
        terminal.wait(r"^linux\| 42$")
        terminal.type("poweroff -f\n")
        terminal.wait(r"^mullion: all guests ended: 1 ok, 0 failed$")
    finally:
        terminal.end()


@pytest.mark.parametrize("unit", UNITS)
def test_off(tmp_path, unit):
    result = boot(EPYC, tmp_path, SYSTEM + guest("pass", "mmio.elf"), [elf("mmio")], cmdline="iommu=off",
                  options=["--", "-device", UNITS[unit][0]])
    result.ended(1, 0)
    assert "IOMMU: left alone, as the command line says" in result.log()
    assert "all devices blocked" not in result.text


@pytest.mark.parametrize("unit,page", [("vtd", 0xfed90000), ("amdvi", 0xfed83000)])
def test_its_registers_are_no_guests(tmp_path, unit, page):
    config = SYSTEM + guest("greedy", "mmio.elf", mmio=f"{page:#x}-{page + 0xfff:#x}")
    result = boot(EPYC, tmp_path, config, [elf("mmio")], options=["--", "-device", UNITS[unit][0]],
                  until=r"^mullion: refused: .*$")
    result.expect(r"^refused: .*an IOMMU", result.log())


EDU = "edu,dma_mask=0xffffffff"


@pytest.mark.parametrize("unit,bdf", [("vtd", "00:02.0"), ("vtd-39", "00:02.0"), ("amdvi", "00:03.0")])
def test_device_and_attack(tmp_path, unit, bdf):
    """DMA, MSI and INTx of a device work in its own guest; what else it tries to reach stays as it is."""
    config = (SYSTEM
              + guest("edu", "edu.elf", cpus="0-1", memory="48M", pci=bdf,
                      cmdline='"dma cpus=2 sweep"')
              + guest("victim", "victim.elf", cpus="2", memory="256M", cmdline="seconds=20"))
    result = boot(EPYC, tmp_path, config, [elf("edu"), elf("victim")], smp=4, memory=512, timeout=120,
                  options=["--", "-device", UNITS[unit][0], "-device", EDU])
    result.ended(2, 0)
    assert "DMA of 1024 bytes there and back" in result.guest("edu")
    assert "PASS victim" in result.guest("victim")
    places = int(result.expect(r"swept (\d+) places", result.guest("edu"))[1])
    assert places > 15
    taken, injected = result.expect(r"sent (\d+) interrupts, (\d+) were injected").groups()
    assert taken == injected
    if unit != "amdvi":  # QEMU's AMD-Vi tells of no fault
        faults = re.findall(rf"VT-d: device {bdf}: (read|write) of 0x[0-9a-f]+ blocked", result.text)
        assert len(faults) == 8 and {"read", "write"} == set(faults)
        result.expect(r"more of its faults will not be told")
