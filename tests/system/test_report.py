"""The hardware report and the configuration it offers; safe mode; machines that are not plain."""

import re
import subprocess

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
    start(tmp_path / "boot", conf, ["first", "second"], memory=640)


def start(path, conf, names, **options):
    """The skeleton as it is, but for the kernel's name: checked, then booted."""
    conf = conf.replace("FILL-IN", "ticker.elf")
    (path / "checked.conf").write_text(conf, encoding="utf-8")
    (path / "ticker.elf").symlink_to(elf("ticker"))
    check = subprocess.run([BUILD / "mullion-config", "check", "--files", path / "checked.conf"],
                           capture_output=True, text=True, timeout=10, check=False)
    assert (check.returncode, check.stderr) == (0, "")
    said = "".join(rf"(?=.*^{name}\| \S)" for name in names)
    result = boot(EPYC, path, conf, [elf("ticker")], options=HOLES, until=said, **options)
    assert f"{len(names)} guest" in result.text
