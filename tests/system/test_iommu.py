"""DMA remapping: each emulated unit comes on, and a guest without devices does not notice."""

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
