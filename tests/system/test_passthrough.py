"""PCI functions of the machine in a guest: QEMU's edu device by a tiny guest, NVMe by Debian's kernel."""

import re
import textwrap

import pytest
from machine import Machine, symbol
from vehicle import EPYC, LINUX, MAX, SKYLAKE, SYSTEM, TOP, ZAMBEZI, Monitor, boot, elf, guest, make_image

EDU = ["-device", "edu,addr=3"]
VTD = ["-device", "intel-iommu,intremap=on,aw-bits=48"]
AMDVI = ["-device", "amd-iommu"]


def edu(words, **keys):
    return guest("edu", "edu.elf", cpus="1-2", memory="32M", pci="00:03.0", cmdline=f'"{words}"', **keys)


def run_edu(path, config, devices, **options):
    return boot(options.pop("vehicle", EPYC), path, SYSTEM + config, [elf("edu"), elf("ticker")], smp=4,
                options=["--", *devices, *EDU], **options)


def counts(result, name):
    found = result.expect(rf"^{name}: its devices sent (\d+) interrupts, (\d+) were injected, (\d+) were nobody's",
                          result.log())
    return [int(found[n]) for n in (1, 2, 3)]


@pytest.mark.parametrize("vehicle", [EPYC, MAX], ids=str)
def test_edu_unsafe(tmp_path, vehicle):
    """All of it without an IOMMU: the guest's RAM is where its addresses say, and that is told."""
    result = run_edu(tmp_path, edu("dma cpus=2 hostile count=500", dma="unsafe-identity"), [], vehicle=vehicle)
    assert "PASS edu" in result.guest("edu")
    result.expect("WARNING: no IOMMU holds its devices", result.log())
    result.expect("moved: 200 and 200 interrupts", result.guest("edu"))
    result.expect("BAR 0 at 0x1000000 meets RAM and is not mapped", result.log())
    taken, injected, orphans = counts(result, "edu")
    assert taken == injected == 500 + 1 + 60 + 400 and orphans == 0
    result.ended(1, 0)


@pytest.mark.parametrize("iommu", [VTD, AMDVI], ids=["vtd", "amdvi"])
def test_edu_behind_an_iommu(tmp_path, iommu):
    result = run_edu(tmp_path, edu("dma cpus=2 hostile count=100"), iommu)
    assert "PASS edu" in result.guest("edu")
    assert not [line for line in result.log() if "WARNING" in line]
    result.ended(1, 0)


def test_behind_bridges_and_unplugged(tmp_path):
    """Behind a bridge to PCI a device's requests carry the bridge's id: its DMA and interrupts work.

    Then the slot's power goes off under the driver: all ones, for the guest, its end and its next start.
    """
    monitor = Monitor(tmp_path)
    slot = 0x80000000 | 5 << 11 | 0x6c  # of the root port: slot control, all off
    config = (guest("edu", "edu.elf", memory="32M", pci="02:01.0", cmdline='"count=20 dma unplug"')
              + guest("ticker", "ticker.elf", cpus="1", memory="8M", cmdline="hz=10 seconds=5"))
    result = boot(EPYC, tmp_path, SYSTEM + config, [elf("edu"), elf("ticker")], smp=2,
                  acts=[("^edu\\| ready", lambda: monitor(f"o /w 0xcf8 {slot}", "o /w 0xcfc 0x7c0"))],
                  options=["--", *VTD, "-device", "pcie-root-port,id=one,addr=5,chassis=1",
                           "-device", "pcie-pci-bridge,id=two,bus=one", "-device", "edu,bus=two,addr=1",
                           *monitor.options])
    result.expect(r"^PCI   00:05.0  # .* bridge to bus 01, ACS$", result.log())
    result.expect(r"^pci = 02:01.0  # .*, one group with 01:00.0$", result.log())
    assert result.guest("edu") == ["edu at 00:01.0, 0 other functions", "INTx: 60 on GSI 17",
                                   "DMA of 1024 bytes there and back", "ready", "gone, and this guest goes on",
                                   "no edu", "PASS edu"]
    assert "blocked: " not in result.text
    result.expect("edu: PCI 02:01.0 does not answer any more", result.log())
    assert not [line for line in result.guest("ticker") if "lost" in line and not line.endswith("lost 0")]
    result.ended(2, 0)


def test_what_firmware_left_undone(tmp_path):
    """As after hot plug, or when firmware starts no more than it boots from: the bridge is off, the BAR is 0.

    All that behind a second root bus (whose lines QEMU and SeaBIOS agree on at address 10).
    """
    config = guest("edu", "edu.elf", memory="32M", pci="21:00.0", cmdline='"count=20 dma"')
    image = make_image(tmp_path, SYSTEM + config, [elf("edu")])
    bridge, device = 0x80000000 | 0x2000 << 8, 0x80000000 | 0x2100 << 8
    writes = [device | 4, device | 0x10, bridge | 4]
    with Machine(image, debug=True, options=[*VTD, "-device", "pxb-pcie,id=far,bus_nr=32,bus=pcie.0,addr=10",
                                             "-device", "pcie-root-port,id=one,bus=far,addr=0,chassis=1",
                                             "-device", "edu,bus=one"]) as m:
        m.debugger.run_to(symbol("pci_enumerate"))
        for register in writes:
            m.screen.monitor(f"o /w 0xcf8 {register:#x}")
            m.screen.monitor("o /w 0xcfc 0")
        m.debugger.go()
        m.wait("all guests ended: 1 ok, 0 failed", 60)
        assert re.search("PCI 21:00.0: firmware left BAR 0 without an address; it is at 0xf[0-9a-f]{7} now", m.text())
        assert "edu| DMA of 1024 bytes there and back" in m.text()
        assert "edu| PASS edu" in m.text() and "blocked: " not in m.text()


def test_one_group_is_for_one_guest(tmp_path):
    """Root ports of one device without ACS let what is behind them reach each other past the IOMMU."""
    config = guest("a", "edu.elf", memory="32M", pci="01:00.0") + guest("b", "edu.elf", cpus="1", memory="32M", pci="02:00.0")
    port = "pcie-root-port,disable-acs=on"
    result = boot(EPYC, tmp_path, SYSTEM + config, [elf("edu")], smp=2,
                  options=["--", *VTD, "-device", f"{port},id=one,addr=5.0,chassis=1,multifunction=on",
                           "-device", f"{port},id=two,addr=5.1,chassis=2", "-device", "edu,bus=one",
                           "-device", "edu,bus=two"], until=r"^mullion: refused: .*$")
    result.expect(r"refused: mullion.conf:\d+:7: error: PCI 01:00.0 of guest a and 02:00.0 of guest b are behind functions "
                  r"of one device that does not keep them apart \(no ACS\); give both to one guest$", result.log())


@pytest.mark.alone
def test_many_interrupts(tmp_path):
    """Of 100,000 none is lost, none is doubled, and another guest loses no tick."""
    config = edu("count=100000", dma="unsafe-identity") + guest("ticker", "ticker.elf", cpus="3", memory="8M",
                                                                 cmdline="hz=10 seconds=5")
    result = run_edu(tmp_path, config, [], timeout=480)
    assert "PASS edu" in result.guest("edu")
    assert counts(result, "edu") == [100061, 100061, 0]
    assert all(line.endswith("lost 0") for line in result.guest("ticker") if "lost" in line)
    result.ended(2, 0)


@pytest.mark.parametrize("line,text", [
    ("pci = 00:03.0", "00:03.0 can write to all memory, because this machine has no IOMMU; `dma = unsafe-identity`"),
    ("pci = 00:05.0", "PCI 00:05.0 is not there"),
    ("pci = 00:1f.0", "PCI 00:1f.0 is a bridge"),
])
def test_refused(tmp_path, line, text):
    key, value = line.split(" = ")
    config = guest("edu", "edu.elf", memory="32M", **{key: value})
    result = run_edu(tmp_path, config, [])
    assert result.status == 1
    assert text in result.text


def follow_guide(disk):
    """docs/passthrough.md, word by word: what the log must say, a guest's section, QEMU's devices."""
    guide = (TOP / "docs/passthrough.md").read_text(encoding="utf-8")
    told = re.findall(r"^ +mullion: (.*)$", guide, re.M) + [re.search(r"`mullion: (linux: owns .*?)`", guide)[1]]
    section = textwrap.dedent(re.search(r"<<END\n(.*?\n) +END\n", guide, re.S)[1]).replace("../build/linux/", "")
    section += re.search(r"echo '(pci = .*?)' >>", guide)[1] + "\n"
    size, devices = re.search(r"truncate -s (\d+)M try/disk.raw\n.*? -- (.*?)\n +```", guide, re.S).groups()
    return told, section, int(size), devices.replace("\\\n", "").replace("try/disk.raw", str(disk)).split()


@pytest.mark.parametrize("iommu", [[], VTD, AMDVI], ids=["unsafe", "vtd", "amdvi"])
def test_linux_nvme(tmp_path, iommu):
    """64 MiB written, read back, and read again by the next start of the guest. As the guide has it, and
    with the two other IOMMUs."""
    disk = tmp_path / "disk"
    told, config, size, devices = follow_guide(disk)
    assert devices[:2] == VTD
    with open(disk, "wb") as f:
        f.truncate(size << 20)
    config = config.replace('"console=ttyS0"', '"console=ttyS0 quiet nokaslr mitigations=off tsc=reliable '
                            'no_timer_check cryptomgr.notests mullion.test=nvme"')
    config += "" if iommu else "dma = unsafe-identity\n"
    config += guest("ticker", "ticker.elf", cpus="3", memory="8M", cmdline="hz=10 seconds=5")
    result = boot(EPYC, tmp_path, SYSTEM + config, [LINUX / "bzImage", LINUX / "initrd.img", elf("ticker")], smp=4, memory=768,
                  timeout=480, options=["--", *iommu, *devices[2:]])
    assert set(told if iommu == VTD else told[-1:]) <= set(result.log())
    sums = [line.split("=")[1] for line in result.guest("linux") if line.startswith("fact: nvme=")]
    assert len(sums) == 3 and len(set(sums)) == 1 and len(sums[0]) == 32
    result.expect("reset: ", result.log())
    _, _, orphans = counts(result, "linux")
    assert orphans == 0
    result.expect(r"ticks, lost 0$", result.guest("ticker"))
    result.ended(2, 0)


@pytest.mark.parametrize("vehicle", [SKYLAKE, ZAMBEZI], ids=str)
def test_ne2k_intx(tmp_path, vehicle):
    """What Bochs has, and so VMX: an I/O BAR that moves, and interrupts by the line until the EOI."""
    config = SYSTEM + guest("ne2k", "ne2k.elf", pci="00:02.0")
    result = boot(vehicle, tmp_path, config, [elf("ne2k")],
                  options=["--pci", "ne2k:ethmod=null, mac=fe:fd:00:00:00:01"])
    assert "PASS ne2k" in result.guest("ne2k")
    assert counts(result, "ne2k") == [40, 40, 0]
    result.ended(1, 0)
