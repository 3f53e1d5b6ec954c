"""Stage codes: on port 0x80 and on COM1, in the documentation, and after a hang."""

import re

from machine import Machine
from vehicle import BUILD, SYSTEM, TOP, elf, guest, make_image

CONFIG = SYSTEM + guest("basic", "basic64.elf", cmdline="word number=42")


def stages():
    """Name, code and words of boot/stage.h."""
    found = re.findall(r'^\tSTAGE\((\w+),\s*0x(\w\w), "([^"]+)"\)', (TOP / "boot/stage.h").read_text(), re.M)
    return [(name, int(code, 16), words) for name, code, words in found]


def test_documented():
    """The table for people, the assembler's numbers and characters, and the C enum are the same."""
    page = (TOP / "docs/faults.md").read_text()
    rows = re.findall(r"^\| 0x(\w\w) \|(?: `(.)`)? \| (.+) \|$", page, re.M)
    assert [(int(code, 16), words) for code, _, words in rows] == [(c, w) for _, c, w in stages()]
    codes = {name: code for name, code, _ in stages()}
    start = (TOP / "boot/start.asm").read_text()
    for source in (start, (TOP / "boot/trampoline.asm").read_text()):
        numbers = re.findall(r"^STAGE_(\w+)\s+equ 0x(\w\w)", source, re.M)
        assert numbers and all(codes[name] == int(code, 16) for name, code in numbers)
    sent = [(codes[name], char) for name, char in re.findall(r"^\tSTAGE STAGE_(\w+), '(.)'", start, re.M)]
    assert sent == [(int(code, 16), char) for code, char, _ in rows if char]


def test_every_stage_is_told(tmp_path):
    """In order; and a hang is located by the last code, and by the next boot."""
    image = make_image(tmp_path, CONFIG, [elf("basic64")], cmdline="drill=hang")
    port80 = tmp_path / "port80"
    codes = [code for _, code, _ in stages()]
    hung = codes.index(0xac) + 1
    wanted = codes[:hung] + codes[codes.index(0xb8):]
    with Machine(image, smp=2, options=["-chardev", f"file,id=post,path={port80}",
                                        "-device", "isa-debugcon,iobase=0x80,chardev=post"]) as m:
        m.wait(r"^M1234\nmullion: Mullion, started by .*^mullion: 2 CPUs\n")
        assert port80.read_bytes().endswith(bytes(wanted))
        m.reset()
        m.wait(r"^mullion: last time: boot 1 got as far as stage 0xac \(the other CPUs are started\)\n"
               r"mullion: last time: Mullion, started by .*^mullion: last time: 2 CPUs\n.*^mullion: 2 CPUs\n")
