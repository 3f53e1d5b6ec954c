"""Configurations that are wrong: refused by the checker, and at boot by the same words."""

import os
import re
import subprocess

import pytest
from vehicle import BUILD, EPYC, SKYLAKE, SYSTEM, TOP, elf, guest, run

GOOD = SYSTEM + guest("a", "basic64.elf")

# What the text alone can tell: name, text, place and words of the error.
WRONG = [
    ("section", GOOD + "[gest b]\n", r":11:\d+: error: .*section"),
    ("key", GOOD + "colour = red\n", r":11:1: error: unknown key 'colour'"),
    ("duplicate", GOOD + "memory = 8M\n", r":11:1: error: .*memory"),
    ("no-kernel", SYSTEM + "[guest a]\ncpus = 0\nmemory = 4M\n", r":\d+:\d+: error: .*kernel"),
    ("same-cpu", GOOD + guest("b", "basic64.elf"), r":\d+:\d+: error: .*CPU 0"),
    ("size", SYSTEM + guest("a", "basic64.elf", memory="12Q"), r":7:\d+: error: "),
    ("ports", GOOD + "ports = 0x300-0x30f\n" + guest("b", "x", cpus="1", ports="0x308-0x30a"),
     r":\d+:\d+: error: .*0x30"),
    ("pci", GOOD + "pci = 00:03.0\n" + guest("b", "x", cpus="1", pci="00:03.0"),
     r":\d+:\d+: error: .*00:03\.0"),
    ("garbage", os.urandom(64).hex().encode() + bytes(range(256)), r":\d+:\d+: error: "),
    ("long-line", b"#" * (1 << 20) + b"\n", r":1:\d+: error: "),
]


@pytest.mark.parametrize("name,text,error", WRONG, ids=[w[0] for w in WRONG])
def test_checker(tmp_path, name, text, error):
    conf = tmp_path / "wrong.conf"
    conf.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = subprocess.run([BUILD / "mullion-config", "check", conf], capture_output=True, text=True,
                            errors="replace", timeout=60, check=False)
    assert result.returncode == 1
    assert re.search("^" + re.escape(str(conf)) + error, result.stderr + result.stdout, re.M)


def make_unchecked(path, config, files):
    """An image as a careless user makes it: mkimage with a checker that finds nothing wrong."""
    tree = path / "tree"
    for name in ("scripts", "build"):
        (tree / name).mkdir(parents=True)
    (tree / "boot").symlink_to(TOP / "boot")
    (tree / "scripts/mkimage").symlink_to(TOP / "scripts/mkimage")
    (tree / "build/mullion.elf").symlink_to(BUILD / "mullion.elf")
    checker = tree / "build/mullion-config"
    names = "\\n".join(f.name for f in files)
    checker.write_text(f"#!/bin/sh\n[ $1 = check ] || printf '{names}\\n'\n", encoding="ascii")
    checker.chmod(0o755)
    for file in files:
        (path / file.name).symlink_to(file)
    (path / "test.conf").write_bytes(config if isinstance(config, bytes) else config.encode())
    subprocess.run(["sh", tree / "scripts/mkimage", "-c", path / "test.conf", "-o", path / "test.img",
                    "--timeout", "0"],
                   check=True, timeout=240)
    return path / "test.img"


# What only the machine can tell, and some of the above.
AT_BOOT = [
    ("no-such-cpu", SYSTEM + guest("a", "basic64.elf", cpus="0-3"), r"mullion\.conf:\d+:\d+: error: .*CPU"),
    ("memory", SYSTEM + guest("a", "basic64.elf", memory="16G"), r"mullion\.conf:\d+:\d+: error: .*wants 16G"),
    ("no-such-file", SYSTEM + guest("a", "other.elf"), r"mullion\.conf:\d+:\d+: error: .*other\.elf"),
    ("key", GOOD + "colour = red\n", r"mullion\.conf:11:1: error: unknown key 'colour'"),
    ("garbage", bytes(range(256)), r"mullion\.conf:\d+:\d+: error: "),
]


@pytest.mark.parametrize("vehicle", [SKYLAKE, EPYC], ids=str)
@pytest.mark.parametrize("name,text,error", AT_BOOT, ids=[a[0] for a in AT_BOOT])
def test_at_boot(tmp_path, vehicle, name, text, error):
    result = run(vehicle, make_unchecked(tmp_path, text, [elf("basic64")]))
    result.expect(r"^refused: " + error, result.log())
    assert "started on" not in result.text
    assert result.status == 1


def test_bad_image(tmp_path):
    """A kernel that is none is refused by name, and the other guest is not started either."""
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)) * 64)
    config = GOOD + guest("b", "noise.bin", cpus="1")
    result = run(EPYC, make_unchecked(tmp_path, config, [elf("basic64")]), smp=2)
    assert result.status == 1
    result.expect(r"noise\.bin", result.log())
