"""The command mullion-config: its verbs, its exit status, and that docs/config.md is up to date."""
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build" / "mullion-config"

GUEST = "[guest a]\ncpus = 0-1\nmemory = 16M\nkernel = k.elf\n"


def run(*args, cwd=None, stdin=b""):
    done = subprocess.run([TOOL, *args], cwd=cwd, input=stdin, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration and the files in `names` beside it; returns check's result."""

    def check(text, *args, names=("k.elf",), verb="check"):
        for name in names:
            (tmp_path / name).write_bytes(b"\x7fELF")
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "a.conf").write_bytes(data)
        return run(verb, "a.conf", *args, cwd=tmp_path)

    return check


def test_accepts_silently(conf):
    assert conf(GUEST) == (0, "", "")


def test_refuses_with_place_and_status_1(conf):
    assert conf(GUEST + "memroy = 1M\n") == (
        1, "", "a.conf:5:1: error: unknown key 'memroy'; did you mean 'memory'?\n")


def test_machine_given_on_the_command_line(conf):
    assert conf(GUEST, "--cpus", "2", "--memory", "16M") == (0, "", "")
    assert conf(GUEST, "--cpus", "1") == (
        1, "", "a.conf:2:8: error: guest 'a': CPU 1 does not exist; the given machine has 1, "
        "numbered from 0\n")
    assert conf(GUEST, "--memory", "8M") == (
        1, "", "a.conf:3:10: error: guest 'a' wants 16M, but 8M of the given machine are left; "
        "make guests smaller\n")


def test_files_that_are_not_there(conf, tmp_path):
    warning = "a.conf: warning: file 'k.elf' is not there yet\n"
    assert conf(GUEST, names=()) == (0, "", warning)
    assert conf(GUEST, "--files", names=()) == (
        1, "", "a.conf:4:10: error: file 'k.elf' is not there; put it beside the configuration\n")
    assert conf(GUEST, "--files") == (0, "", "")
    # Relative to the configuration, not to the directory that one stands in.
    assert run("check", "--files", tmp_path / "a.conf") == (0, "", "")


def test_files_that_do_not_fit(conf, tmp_path):
    with open(tmp_path / "big", "wb") as big:
        big.truncate(16 << 20)
    status, _, err = conf(GUEST + "initrd = big\n")
    assert (status, err) == (
        1, "a.conf:5:10: error: file 'big' of 16M does not fit into the guest's memory of 16M; "
        "raise memory on line 3\n")


def test_binary_garbage_and_a_long_line(conf):
    assert conf(b"\x7fELF\x02\x01\0\0") == (
        1, "", "a.conf:1:1: error: byte \\x7f is not text; write plain UTF-8\n")
    assert conf(b"#" * (1 << 20)) == (
        1, "", "a.conf:1:8193: error: the line is too long; at most 8192 bytes\n")
    assert conf(b"") == (
        1, "", "a.conf:1:1: error: there is no guest; add a section [guest NAME]\n")


def test_large_files_are_quick(conf):
    text = GUEST + "# comment\n" * 1000000
    assert conf(text) == (0, "", "")


def test_dump_is_stable(conf):
    status, first, err = conf(GUEST, verb="dump")
    assert (status, err) == (0, "")
    assert first.startswith("[system]\nconsole = 0x3f8,framebuffer\n")
    assert "\n[guest a]\ncpus = 0,1\nmemory = 16M\nkernel = k.elf\n" in first
    assert conf(first, verb="dump") == (0, first, "")


def test_files_lists_each_once(conf):
    text = GUEST + "initrd = x/i\nmodule = m one\nmodule = m two\n"
    text += "[guest b]\ncpus = 2\nmemory = 1M\nkernel = k.elf\nmodule = n\n"
    assert conf(text, verb="files") == (0, "k.elf\nx/i\nm\nn\n", "")


def test_standard_input():
    assert run("dump", "-", stdin=b"[gest a]\n") == (
        1, "", "-:1:2: error: unknown section 'gest'; did you mean 'guest'?\n")


def test_wrong_usage():
    for args in ([], ["what"], ["check"], ["dump"], ["check", "a", "b"], ["check", "a", "--cpus"],
                 ["check", "a", "--memory", "much"], ["check", "a", "--memory", "1Q"],
                 ["check", "a", "--cpus", "0"], ["check", "--colour", "a"]):
        status, out, err = run(*args)
        assert (status, out) == (2, "")
        assert "usage: mullion-config check" in err
    status, _, err = run("check", "/nowhere/a.conf")
    assert (status, err) == (2, "mullion-config: /nowhere/a.conf: No such file or directory\n")
    assert run("--help")[0] == 0


def test_reference_is_up_to_date():
    """If this fails: make docs/config.md"""
    assert run("reference") == (0, (ROOT / "docs" / "config.md").read_text(), "")


@pytest.mark.parametrize("example", sorted((ROOT / "guests").glob("*.conf")), ids=lambda p: p.name)
def test_examples_are_right(example):
    status, _, err = run("check", example)
    assert status == 0, err
    assert "error" not in err


def test_configuration_in_place_of_another(tmp_path):
    """[boot] config: the named file is what is checked, its files are found beside it."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.conf").write_text("[boot]\nconfig = sub/safe.conf\n", encoding="utf-8")
    safe = tmp_path / "sub/safe.conf"
    safe.write_text(GUEST, encoding="utf-8")
    (tmp_path / "sub/k.elf").write_bytes(b"\x7fELF")
    assert run("check", "--files", "a.conf", cwd=tmp_path) == (0, "", "")
    assert run("check", "--files", tmp_path / "a.conf") == (0, "", "")
    assert run("files", "a.conf", cwd=tmp_path) == (0, "sub/safe.conf\nsub/k.elf\n", "")
    safe.write_text(GUEST + "memroy = 1M\n", encoding="utf-8")
    assert run("check", "a.conf", cwd=tmp_path) == (
        1, "", "sub/safe.conf:5:1: error: unknown key 'memroy'; did you mean 'memory'?\n")
    safe.write_text("[boot]\nconfig = safe.conf\n", encoding="utf-8")
    assert run("check", "a.conf", cwd=tmp_path) == (
        1, "", "sub/safe.conf:2:10: error: 'config' was followed already, from a.conf:2:10; name "
        "the last one there\n")
    safe.unlink()
    assert run("files", "a.conf", cwd=tmp_path)[0] == 2


def fake_function(sysfs, name, device_class, config, group=None, driver=None, bars=()):
    """A directory as Linux has one for each PCI function."""
    path = sysfs / "bus/pci/devices" / name
    path.mkdir(parents=True)
    (path / "vendor").write_text("0x8086\n")
    (path / "device").write_text("0x10d3\n")
    (path / "class").write_text(f"{device_class:#08x}\n")
    (path / "irq").write_text("18\n")
    lines = [f"0x{a:016x} 0x{b:016x} 0x{flags:016x}" for a, b, flags in bars]
    lines += ["0x0000000000000000 " * 2 + "0x0000000000000000"] * (13 - len(lines))
    (path / "resource").write_text("\n".join(lines) + "\n")
    (path / "config").write_bytes(bytes(config))
    if group is not None:
        (path / "iommu_group").symlink_to(f"../../../../kernel/iommu_groups/{group}")
    if driver:
        (path / "driver").symlink_to(f"../../../../bus/pci/drivers/{driver}")


def with_capabilities():
    config = bytearray(256)
    config[0x06] = 0x10
    config[0x34] = 0x50
    config[0x3d] = 1
    config[0x50:0x54] = 5, 0x70, 0x06, 0  # MSI, 8 messages
    config[0x70:0x74] = 0x11, 0x50, 0x40, 0  # MSI-X, 65 entries; the list turns back
    return config


def test_devices(tmp_path, conf):
    fake_function(tmp_path, "0000:00:1f.0", 0x060100, bytes(256), group=7)
    bridge = bytearray(256)
    bridge[0x0e], bridge[0x19] = 1, 3
    fake_function(tmp_path, "0000:00:1c.0", 0x060400, bridge, group=6, driver="pcieport")
    fake_function(tmp_path, "0000:03:00.1", 0x020000, with_capabilities(), group=12, driver="e1000e",
                  bars=[(0xfeb80000, 0xfeb9ffff, 0x40200), (0xc040, 0xc05f, 0x40101)])
    short = bytearray(64)
    short[0x3c:0x3e] = 11, 2
    fake_function(tmp_path, "0000:03:00.0", 0x0c0330, short, bars=[(0, 0, 0), (0x1000, 0x1fff, 0x40200)])
    fake_function(tmp_path, "0001:00:00.0", 0x020000, bytes(256))
    status, out, err = run("devices", "--sysfs", str(tmp_path))
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "# PCI functions of this host. A line in a guest's section gives it the function.",
        "# PCI   00:1c.0  # 8086:10d3 bridge to bus 03, group 6, driver pcieport",
        "# PCI   00:1f.0  # 8086:10d3 bridge, group 7",
        "pci = 03:00.0  # 8086:10d3 USB controller, IRQ 11, 1 BAR",
        "pci = 03:00.1  # 8086:10d3 network controller, MSI-X 65, MSI 8, 2 BARs, group 12, driver e1000e",
        "# MSI and MSI-X show to root only.",
        "# Functions without a group: Linux has no IOMMU on.",
        "# Functions outside PCI segment 0 are left out: Mullion does not reach them.",
    ]
    # All of it is configuration.
    assert conf(GUEST + out) == (0, "", "")


def test_devices_of_nothing(tmp_path):
    (tmp_path / "bus/pci/devices").mkdir(parents=True)
    assert run("devices", "--sysfs", str(tmp_path)) == (
        0, "# PCI functions of this host. A line in a guest's section gives it the function.\n", "")
    status, out, err = run("devices", "--sysfs", str(tmp_path / "no"))
    assert (status, out) == (2, "")
    assert "No such file" in err
    assert run("devices", "--sysfs")[0] == 2
