"""Machines without COM1: the log, and the keys, on a serial port that PCI or the firmware's tables name."""

import struct

from machine import Machine
from vehicle import elf, guest, make_image

CONFIG = "[system]\ndebug-exit = 0xf4\n" + guest("spin", "spin.elf")


def spcr(port):
    """An ACPI table that calls this I/O port the firmware's console."""
    body = struct.pack("<BxxxBBBBQ", 0, 1, 8, 0, 1, port) + bytes(28)
    data = bytearray(b"SPCR" + struct.pack("<IBB6s8sI4sI", 36 + len(body), 2, 0, b"MULION", b"TEST", 1, b"TEST", 1)
                     + body)
    data[9] = -sum(data) & 0xff
    return bytes(data)


def check(tmp_path, name, options):
    """The log is there from its first line, and a key reaches the console, which has no interrupt."""
    image = make_image(tmp_path, CONFIG, [elf("spin")])
    with Machine(image, serial=False, options=options) as m:
        m.wait(rf"^mullion: Mullion, started by .*^mullion: console: {name}\n.*^mullion: 1 guest on SVM.*"
               rf"^mullion: console: no interrupt is known for {name}")
        m.type(b"\x01x")
        m.wait(r"^mullion: ended from the console\n")


def test_pci_serial(tmp_path):
    check(tmp_path, r"port 0x\w+ \(PCI 00:\w\w\.0\)", ["-device", "pci-serial,chardev=console"])


def test_port_of_spcr(tmp_path):
    table = tmp_path / "spcr"
    table.write_bytes(spcr(0x2f0))
    check(tmp_path, r"port 0x2f0 \(SPCR\)",
          ["-device", "isa-serial,iobase=0x2f0,irq=5,chardev=console", "-acpitable", f"file={table}"])


def test_given_to_a_guest(tmp_path):
    """A card that a guest gets is no console any more, whoever named it and whatever the command line says."""
    image = make_image(tmp_path, CONFIG + "pci = 00:05.0\n", [elf("spin")],
                       cmdline="console=com1,framebuffer")
    with Machine(image, serial=False, options=["-device", "intel-iommu,intremap=on",
                                               "-device", "pci-serial,chardev=console,addr=5"]) as m:
        m.wait(r"^mullion: console: port 0x\w+ \(PCI 00:05\.0\) goes to a guest\n")
        m.shows("mullion: spin: started on CPU 0")
        assert "started on CPU 0" not in m.text()
