"""The hardware report and the configuration it offers; safe mode; machines that are not plain."""

import dataclasses
import re
import socket
import subprocess

from test_console import Terminal
from vehicle import BUILD, EPYC, SKYLAKE, SYSTEM, boot, elf, guest, make_image, run

TINY = SYSTEM + guest("basic", "basic64.elf", cmdline="word number=42")
END = r"nothing is started, as the command line says"
# Two packages of three cores, two threads each: APIC ids 6 and 7 belong to nobody.
HOLES = ["--", "-smp", "12,sockets=2,cores=3,threads=2", "-device",
         "intel-iommu,intremap=on,aw-bits=48", "-device", "edu,addr=7"]


def skeleton(result):
    """The configuration in the report, as a user cuts it out."""
    return result.expect(r"^# mullion\.conf for this machine: [\s\S]*^# end of mullion\.conf\n").group()


def test_report_and_its_skeleton(tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "boot").mkdir()
    image = make_image(tmp_path / "report", TINY, [elf("basic64")], cmdline="report")
    result = run(EPYC, image, memory=640, options=HOLES, until=END)
    log = result.log()
    assert "started on" not in result.text
    result.expect(r"^CPU: AMD EPYC.*, family 0x17 model 0x1 stepping 2, microcode 0x", log)
    result.expect(r"^speculation: controls: none; not known to be immune to: SSB$", log)
    result.expect(r"^speculation: immune to: Meltdown", log)
    assert "CPUs: 12 in 2 packages, 6 cores; LAPIC in xAPIC mode" in log
    assert "CPU 5: APIC id 5, package 0, core 2, thread 1" in log
    assert "CPU 6: APIC id 8, package 1, core 4, thread 0" in log
    assert "SVM: nested paging: there (needed)" in log
    assert "SVM: next RIP: missing (not needed)" in log
    result.expect(r"^memory: 0x000000100000-0x[0-9a-f]{12} \d+ KiB RAM$", log)
    result.expect(r"^memory: \d+ MiB free for guests", log)
    result.expect(r"^TSC: [\d.]+ MHz, not invariant by CPUID, runs together on all CPUs$", log)
    result.expect(r"^IOMMU: VT-d unit 0, registers at 0xfed90000$", log)
    result.expect(r"^pci = 00:07\.0  # 1234:11e8 device, MSI 1, 1 BAR", log)
    assert "console: serial port 0x3f8" in log
    assert log.index("hardware report") < log.index("end of the hardware report")

    conf = skeleton(result)
    assert re.findall(r"^cpus = (.*)$", conf, re.M) == ["0-5", "6-11"]
    assert re.search(r"^# pci = 00:07\.0  # 1234:11e8", conf, re.M)
    start(EPYC, tmp_path / "boot", conf, ["first", "second"], memory=640, options=HOLES)


def start(vehicle, path, conf, names, **options):
    """The skeleton as it is, but for the kernel's name: checked, then booted."""
    conf = conf.replace("FILL-IN", "spin.elf")
    (path / "checked.conf").write_text(conf, encoding="utf-8")
    (path / "spin.elf").symlink_to(elf("spin"))
    check = subprocess.run([BUILD / "mullion-config", "check", "--files", path / "checked.conf"],
                           capture_output=True, text=True, timeout=60, check=False)
    assert (check.returncode, check.stderr) == (0, "")
    said = "".join(rf"(?=.*^{name}\| \S)" for name in names)
    result = boot(vehicle, path, conf, [elf("spin")], until=said, **options)
    assert f"{len(names)} guest" in result.text


def test_report_page_by_page(tmp_path):
    """For a screen that cannot be scrolled back; and the way back to the boot menu."""
    monitor = str(tmp_path / "monitor")
    terminal = Terminal(make_image(tmp_path, TINY, [elf("basic64")], cmdline="report"), "--", "-monitor",
                        f"unix:{monitor},server=on,wait=off")
    try:
        terminal.wait(END + r".*\n")
        keyboard = socket.socket(socket.AF_UNIX)  # the one that belongs to the screen
        keyboard.connect(monitor)
        keyboard.sendall(b"sendkey spc\n")
        lines = []
        for _ in range(3):
            terminal.wait(r"\A(?=(.*\n){10})")
            before = None
            while before != terminal.seen:  # until no more comes after it
                before = terminal.seen
                terminal.read(1.5)
            page, terminal.seen = terminal.seen, ""
            lines.append(page.count("\n"))
            terminal.type("x")
        assert all(10 <= n <= 20 for n in lines), lines
        terminal.wait(r"^# end of mullion\.conf\n")
        terminal.type("r")
        assert terminal.process.wait(60) is not None
    finally:
        terminal.end()
        keyboard.close()


def test_report_before_the_start(tmp_path):
    """On VMX, and its skeleton there."""
    config = SYSTEM + "report = yes\n" + guest("basic", "basic64.elf", cmdline="word number=42")
    result = boot(SKYLAKE, tmp_path, config, [elf("basic64")], memory=96)
    log = result.log()
    assert "CPUs: 1 in 1 package, 1 core; LAPIC in xAPIC mode" in log
    assert "VMX: unrestricted guest: there (needed)" in log
    result.expect(r"^TSC: [\d.]+ MHz, invariant by CPUID, runs together", log)
    assert "IOMMU: none is on; bus masters can only be passed through unsafely" in log
    assert "# No IOMMU is on: see `dma =` in docs/config.md first." in skeleton(result)
    assert (log.index("end of the hardware report")
            < log.index(result.expect(r"^basic: started on CPU 0.*", log).group()))
    assert "PASS basic64" in result.guest("basic")
    result.ended(1, 0)
    (tmp_path / "boot").mkdir()
    start(SKYLAKE, tmp_path / "boot", skeleton(result), ["first"], memory=96)


def test_x2apic_mode(tmp_path):
    """All CPUs in x2APIC mode, as after firmware that left it on."""
    result = boot(SKYLAKE, tmp_path, SYSTEM + guest("smp", "smp.elf", cpus="0-1"), [elf("smp")],
                  cmdline="x2apic", smp=2)
    assert "LAPIC: x2APIC, id 0" in result.log()
    assert "PASS smp" in result.guest("smp")
    result.ended(1, 0)


def test_safe_mode_and_a_tsc_that_is_trusted(tmp_path):
    """The first guest alone, without the devices that it asks for and that are not there."""
    config = SYSTEM + "tsc = trust\n" + guest(
        "one", "basic64.elf", cmdline="word number=42", pci="00:1e.7", ports="0x300+8",
        mmio="0xfed00000+4K", dma="unsafe-identity") + guest("two", "no-such.elf", cpus="77")
    vehicle = dataclasses.replace(EPYC, cpu="EPYC,-hypervisor")
    (tmp_path / "no-such.elf").write_bytes(b"")
    result = boot(vehicle, tmp_path, config, [elf("basic64")], cmdline="safe")
    log = result.log()
    assert ("safe mode: only guest 'one', the first of 2, is started; `pci`, `ports` and `mmio` are "
            "left out") in log
    assert "end of the hardware report" in log  # verbose
    assert re.search(r"^\[guest one\]\ncpus = 0\n(?!.*\[guest two\])", result.text, re.M | re.S)
    result.expect(r"^warning: the TSC is not invariant", log)
    assert "PASS basic64" in result.guest("one")
    result.ended(1, 0)


def test_tsc_that_is_not_invariant(tmp_path):
    """On a machine that does not call itself virtual."""
    vehicle = dataclasses.replace(EPYC, cpu="EPYC,-hypervisor")
    result = boot(vehicle, tmp_path, TINY, [elf("basic64")])
    result.expect(r"^refused: the TSC is not invariant \(CPUID 80000007h EDX bit 8\).*`tsc = trust`", result.log())
    assert "started on" not in result.text


def test_siblings_and_memory_above_512_gib(tmp_path):
    """600 GiB that the host does not have, as long as nobody touches them."""
    memory = ["--", "-smp", "2,sockets=1,cores=1,threads=2", "-object",
              "memory-backend-ram,id=ram,size=600G,reserve=off", "-machine", "memory-backend=ram"]
    config = SYSTEM + "".join(guest(n, "basic64.elf", cpus=c, cmdline="word number=42")
                              for n, c in (("a", "0"), ("b", "1")))
    result = boot(EPYC, tmp_path, config, [elf("basic64")], cmdline="check-pages", memory="600G",
                  options=memory)
    log = result.log()
    free = int(result.expect(r"^image at .*, (\d+) MiB of RAM free", log).group(1))
    assert free > 599 * 1024
    result.expect(r"^direct map: RAM up to 0x96[0-9a-f]{8} can be read$", log)
    result.expect(r"^warning: CPU 0 of guest 'a' and CPU 1 of guest 'b' are threads of one core", log)
    result.ended(2, 0)
