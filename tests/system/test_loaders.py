"""Every kind of guest image, and images that are broken."""

import pytest
from test_config import make_unchecked
from vehicle import EPYC, GUESTS, SKYLAKE, SYSTEM, ZAMBEZI, boot, elf, guest, run

KINDS = [
    ("mb1fields", "mb1fields.bin", "multiboot 1"),
    ("mb2", "mb2.bin", "multiboot 2"),
    ("elf64", "elf64.bin", "ELF64"),
]


@pytest.mark.parametrize("vehicle", [SKYLAKE, ZAMBEZI, EPYC], ids=str)
@pytest.mark.parametrize("name,file,kind", KINDS, ids=[k[0] for k in KINDS])
def test_kind(tmp_path, vehicle, name, file, kind):
    config = SYSTEM + guest("it", file, cmdline="some words")
    result = boot(vehicle, tmp_path, config, [GUESTS / file])
    assert f"PASS {name}" in result.guest("it")
    result.expect(rf"^it: started on CPU 0: {kind}", result.log())
    result.ended(1, 0)


def test_multiboot1_in_elf64(tmp_path):
    """The same guest as a 64-bit ELF file: multiboot 1 starts it in 32-bit mode all the same."""
    config = SYSTEM + guest("it", "basic64.elf64", cmdline="word number=42")
    result = boot(SKYLAKE, tmp_path, config, [GUESTS / "basic64.elf64"])
    assert "PASS basic64" in result.guest("it")
    result.expect(r"^it: started on CPU 0: multiboot 1", result.log())


def cut(data, size):
    return data[:size]


def patch(data, at, new):
    return data[:at] + new + data[at + len(new):]


BROKEN = [
    ("empty", lambda d: b"\x00" * 64),
    ("cut", lambda d: cut(d, 0x1800)),
    ("entry-outside", lambda d: patch(d, 24, (0xfffffff0).to_bytes(4, "little"))),
    ("huge-segment", lambda d: patch(d, 52 + 20, (0x7fffffff).to_bytes(4, "little"))),
]


@pytest.mark.parametrize("name,change", BROKEN, ids=[b[0] for b in BROKEN])
def test_broken_image(tmp_path, name, change):
    """Refused with the file's name; Mullion and a second guest live on."""
    (tmp_path / "broken.elf").write_bytes(change(elf("basic64").read_bytes()))
    config = SYSTEM + guest("bad", "broken.elf") + guest("good", "basic64.elf", cpus="1",
                                                         cmdline="word number=42")
    result = boot(EPYC, tmp_path, config, [elf("basic64")], smp=2)
    result.expect(r"broken\.elf", result.log())
    assert result.status == 1
