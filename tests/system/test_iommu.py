"""DMA remapping: each emulated unit comes on, and a guest without devices does not notice."""

import re

import pytest
from test_console import Terminal
from vehicle import EPYC, LINUX, SYSTEM, Monitor, boot, elf, guest, make_image

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


@pytest.mark.parametrize("unit,page,what", [("vtd", 0xfed90000, "an IOMMU"), ("amdvi", 0xfed83000, "an IOMMU"),
                                            ("vtd", 0xb0020000, "PCI configuration space")])
def test_its_registers_are_no_guests(tmp_path, unit, page, what):
    config = SYSTEM + guest("greedy", "mmio.elf", mmio=f"{page:#x}-{page + 0xfff:#x}")
    result = boot(EPYC, tmp_path, config, [elf("mmio")], options=["--", "-device", UNITS[unit][0]],
                  until=r"^mullion: refused: .*$")
    result.expect(rf"^refused: .* meets {what} of this machine", result.log())


# A device whose BAR 2 is memory: 1 MiB that the BIOS puts above 4 GiB, beside a BAR of 2 GiB that fills the hole.
MEMORY_BAR = 0x180000000
MEMORY = 1 << 20
MEMORY_DEVICE = ["-device", "ivshmem-plain,memdev=m,addr=5", "-device", "pci-testdev,membar=2G,addr=7"]
EDU = ["-device", "edu,dma_mask=0xffffffffffffffff,addr=4", "-device", "edu,dma_mask=0xffffffffffffffff,addr=6"]
HYPERVISOR, VICTIM, NOTHING = 0x200000, 0x8000000, 0x30000000


@pytest.mark.parametrize("unit", UNITS)
def test_device_and_attack(tmp_path, unit):
    """DMA, MSI and INTx of a device work in its own guest; what else it tries to reach stays as it is.

    That is another guest's BAR, the hypervisor's image, the other guest's RAM, nothing at all, and samples
    of everything else. The attacker has its RAM at physical addresses: to others it would have its own RAM
    where the hypervisor is. A guest that has asked for it is stopped at its first try.
    """
    monitor = Monitor(tmp_path)
    places = (MEMORY_BAR, HYPERVISOR, VICTIM, NOTHING)
    given = " ".join(f"place{n}={place}" for n, place in enumerate(places, 1))
    config = (SYSTEM
              + guest("edu", "edu.elf", cpus="0-1", memory="32M", pci="00:04.0", dma="unsafe-identity",
                      cmdline=f'"dma cpus=2 sweep {given}"')
              + guest("victim", "victim.elf", cpus="2", memory="256M", pci="00:05.0", cmdline="seconds=400")
              + guest("rogue", "edu.elf", cpus="3", memory="32M", pci="00:06.0", cmdline="rogue", on_dma_fault="stop"))
    shared = tmp_path / "memory"
    shared.write_bytes(bytes(MEMORY))
    backend = ["-object", f"memory-backend-file,id=m,size={MEMORY},share=on,mem-path={shared}"]
    seen = []

    def swept():
        seen.append(monitor(*dump))
        with shared.open("r+b") as f:  # the victim looks once more, and ends
            f.seek(MEMORY - 4)
            f.write(b"stop")

    dump = [f"xp /64xb {place}" for place in (HYPERVISOR, VICTIM)]
    acts = [("^victim\\| victim: ", lambda: seen.append(monitor("info pci", *dump))),
            ("^edu\\| swept", swept)]
    result = boot(EPYC, tmp_path, config, [elf("edu"), elf("victim")], smp=4, memory=512, timeout=480, acts=acts,
                  options=["--", "-device", UNITS[unit][0], *backend, *EDU, *MEMORY_DEVICE, *monitor.options])
    told = unit != "amdvi"  # QEMU's AMD-Vi tells of no fault
    result.ended(2, 1) if told else result.ended(3, 0)
    assert "DMA of 1024 bytes there and back" in result.guest("edu")
    assert "PASS edu" in result.guest("edu")
    assert int(result.expect(r"swept (\d+) places", result.guest("edu"))[1]) > 20
    taken, injected = result.expect(r"edu: its devices sent (\d+) interrupts, (\d+) were injected").groups()
    assert taken == injected

    # The places are what they are taken for, and hold what they held.
    assert f"at 0x{MEMORY_BAR:x} " in seen[0] or f"at 0x{MEMORY_BAR:016x} " in seen[0]
    result.expect(rf"image at {HYPERVISOR:#x}-", result.log())
    memory = [re.findall(r"^[0-9a-f]+: (.*)$", text, re.M) for text in seen]
    assert len(memory[0]) == 16 and memory[0] == memory[1]
    assert re.match(r"0x00 0xde 0x.. 0x5[c-f] 0x01 0xde ", memory[0][8])  # the victim's pattern
    result.expect(r"a device's 100000 at c", result.guest("victim"))
    assert "PASS victim" in result.guest("victim")
    assert result.text.index("edu| swept") < result.text.index("PASS victim")
    if told:
        faults = re.findall(r"VT-d: device 00:04.0: (read|write) of (0x[0-9a-f]+) blocked", result.text)
        assert faults == [(way, hex(place)) for place in places for way in ("write", "read")]
        result.expect(r"00:04.0: more of its faults will not be told")
        result.expect(rf"^rogue: stopped: PCI 00:06.0 tried to write {NOTHING:#x}, which is not the guest's", result.log())
        assert not result.guest("rogue")[1:]
