"""Debian's generic kernel with its stock drivers on passed-through devices, all checked by content:
tests/initramfs/devices is the guest's side, this file has the other ends of cables and disks."""

import collections
import hashlib
import os
import re
import socketserver
import threading

import pytest
from vehicle import EPYC, LINUX, SYSTEM, boot, elf, guest

VTD = ["-device", "intel-iommu,intremap=on,aw-bits=48"]
AMDVI = ["-device", "amd-iommu"]
QUIET = "console=ttyS0 quiet nokaslr mitigations=off tsc=reliable no_timer_check cryptomgr.notests"
MIB = 1 << 20


def md5(data):
    return hashlib.md5(data).hexdigest()


class Server:
    """Behind the NICs: `get NAME` is answered with random bytes, distinct for each NAME, and what
    follows `put NAME` is kept."""

    def __init__(self):
        self.given = collections.defaultdict(lambda: os.urandom(MIB // 2))
        self.taken = collections.defaultdict(list)
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                word, name = self.rfile.readline().decode().split()
                if word == "get":
                    self.wfile.write(outer.given[name])
                else:
                    outer.taken[name].append(self.rfile.read())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Disks:
    """Backing files with random content, by the function that the guest sees them behind."""

    def __init__(self, path, *functions):
        self.file = {f: path / f"disk-{f}" for f in functions}
        self.before = {f: os.urandom(3 * MIB) for f in functions}
        for function, file in self.file.items():
            file.write_bytes(self.before[function])

    def drive(self, function, name):
        return ["-drive", f"if=none,id={name},format=raw,file={self.file[function]}"]

    def check(self, function, told):
        """All of it was read, the second MiB's first half was written, and nothing else but the mark of
        a restart, if that is on this disk."""
        after, before = self.file[function].read_bytes(), bytearray(self.before[function])
        if after[2 * MIB - 512:].startswith(b"restarted\n"):
            before[2 * MIB - 512:2 * MIB] = b"restarted\n".ljust(512, b"\0")
        assert {f[1] for f in told["read"] if f[0] == function} == {md5(before)}
        assert md5(after[MIB:MIB * 3 // 2]) == told["data"][0][0]
        assert after[:MIB] == before[:MIB] and after[MIB * 3 // 2:] == before[MIB * 3 // 2:]


def linux(name, words, **keys):
    keys = {"memory": "192M", "cmdline": f'"{QUIET} usb-storage.delay_use=0 mullion.test=devices {words}"', **keys}
    return guest(name, "bzImage-generic", initrd="initrd-generic.img", debug_exit=None, **keys)


def run(path, config, devices, **options):
    files = [LINUX / "bzImage-generic", LINUX / "initrd-generic.img", elf("ticker")]
    result = boot(EPYC, path, SYSTEM + config, files, smp=4, memory=768, timeout=480,
                  options=["--", *devices], **options)
    result.expect("^(VT-d|AMD-Vi): on", result.log())
    assert not re.search("device .*(read|write) of .* blocked", result.text)
    return result


def facts(result, name):
    """What a guest has told since it was started last: key -> list of values, each a list of words."""
    told = collections.defaultdict(list)
    for line in result.guest(name):
        if line == "fact: start":
            told.clear()
        match = re.match(r"fact: (\w+)=?(.*)", line)
        if match:
            told[match[1]].append(match[2].split())
    assert not told["missing"] and told["end"], f"{name} did not get to its end"
    bad = [line for line in result.guest(name) if line.startswith("dmesg: ")]
    assert not bad
    return told


def check_network(server, function, told):
    """What came through the NIC, each time."""
    got = [f[1] for f in told["got"] if f[0] == function]
    assert got and set(got) == {md5(server.given[function])}
    put = server.taken[function]
    assert len(put) >= len(got) and {md5(data) for data in put} == {told["data"][0][0]}


def kinds(told):
    """function -> the kinds of its interrupts"""
    found = collections.defaultdict(set)
    for _, function, kind, *_ in told["counts"]:
        found[function].add(kind)
    return found


def counts(told, phase, function):
    """Interrupts of a function that each CPU has taken until a phase."""
    rows = [[int(n) for n in f[3:]] for f in told["counts"] if f[:2] == [phase, function]]
    return [sum(column) for column in zip(*rows)]


def check_moves(told, function):
    """With all of a function's interrupts on one CPU, that CPU alone takes them; then the other."""
    for cpu in (0, 1):
        before, after = (counts(told, f"{when}{cpu + 1}", function) for when in ("before", "after"))
        moved = [b - a for a, b in zip(before, after)]
        assert moved[cpu] > 0 and moved[1 - cpu] == 0, f"{function}: {moved} with CPU {cpu} chosen"


def check_injected(result, name, told, handlers=1, late=0):
    """Everything that came was injected, and nothing that a handler saw came from nowhere. (What
    arrives while the same vector waits is one interrupt to a handler, as on a real APIC; one on a
    line with several functions is one to each handler.) `late`: so many vectors had devices at work
    at a reset, and what was on its way just then comes when the guest has ended, and is nobody's."""
    ends = re.findall(rf"^{name}: its devices sent (\d+) interrupts, (\d+) were injected, (\d+) were nobody's",
                      "\n".join(result.log()), re.M)
    before, after = ([int(n) for n in end] for end in [("0", "0", "0"), *ends][-2:])
    taken, injected, orphans = (b - a for a, b in zip(before, after))  # since it was started last
    seen = sum(int(n) for f in told["counts"] if f[0] == "end" for n in f[3:])
    print(f"{name}: {taken} taken, {injected} injected, {seen} seen")
    assert taken == injected and orphans <= late
    assert injected * handlers >= seen > 0


def nic(number, model, extra="", cable=None, port=None):
    """A NIC that its guest sees as device `number`; with `port`, behind a root port at that address."""
    cable = cable or ["-netdev", f"user,id=net{number},net=10.0.{number}.0/24"]
    place = f"bus=port{number}" if port else f"addr={number}"
    ports = ["-device", f"pcie-root-port,id=port{number},chassis={number},addr={port}"] if port else []
    return [*cable, *ports, "-device", f"{model},netdev=net{number},{place},romfile={extra}"]


VIRTIO = ",disable-legacy=on,iommu_platform=on"


@pytest.mark.alone
def test_all_devices(tmp_path):
    """One guest with two CPUs and everything, behind VT-d, beside a guest that counts its ticks; after
    a restart in the middle of its work."""
    disks = Disks(tmp_path, "00:06.0", "00:07.0", "00:08.0")
    with Server() as server:
        config = linux("linux", f"mullion.disks=3 mullion.nics=2 mullion.port={server.port} "
                       "mullion.restart=1", cpus="1-2",
                       pci=["01:00.0", "02:00.0", "00:06.0", "00:07.0", "00:08.0"])
        config += guest("ticker", "ticker.elf", cpus="3", memory="8M", cmdline="hz=10")
        result = run(tmp_path, config, [
            # Behind ports they can be reset; else what comes from outside would find their old rings.
            *VTD, *nic(1, "e1000e", port=4), *nic(2, "virtio-net-pci", VIRTIO, port=5),
            *disks.drive("00:06.0", "a"), "-device", f"virtio-blk-pci,drive=a,addr=6{VIRTIO}",
            *disks.drive("00:07.0", "b"), "-device", "qemu-xhci,id=usb,addr=7",
            "-device", "usb-storage,bus=usb.0,drive=b",
            *disks.drive("00:08.0", "c"), "-device", "ich9-ahci,id=sata,addr=8",
            "-device", "ide-hd,bus=sata.0,drive=c"],
            until="^mullion: linux: powered off.*\n")
    result.expect("linux: reset: .*; restarting", result.log())
    assert int(result.expect(r"linux: its devices sent (\d+)", result.log())[1]) > 100, "idle before the restart"
    told = facts(result, "linux")
    assert not [line for line in result.log() if re.search(r"owns PCI 0[12].*no reset", line)]
    for function in disks.file:
        disks.check(function, told)
    for function in ("00:01.0", "00:02.0"):
        check_network(server, function, told)
    assert kinds(told) == {**{f"00:0{n}.0": {"msix"} for n in (1, 2, 6, 7)}, "00:08.0": {"msi"}}
    for function in ("00:01.0", "00:02.0", "00:07.0", "00:08.0"):  # virtio-blk's are the kernel's to move
        check_moves(told, function)
    assert int(told["moves"][0][0]) > 5
    check_injected(result, "linux", told, late=5 + 4 + 5 + 16 + 1)
    lost = [line.split()[-1] for line in result.guest("ticker") if "lost" in line]
    assert len(lost) > 5 and set(lost) == {"0"}


def test_two_guests(tmp_path):
    """Behind AMD-Vi: two guests with a NIC each exchange data over a hub, and have a disk each.
    Neither sees the other's functions in lspci."""
    disks = Disks(tmp_path, "00:06.0", "00:07.0")
    config = ""
    for n, (name, functions) in enumerate({"one": ("00:04.0", "00:06.0"), "two": ("00:05.0", "00:07.0")}.items()):
        config += linux(name, f"mullion.disks=1 mullion.nics=1 mullion.address=10.9.0.{n + 1} "
                              f"mullion.peer=10.9.0.{2 - n}", cpus=str(n + 1), pci=list(functions))
    hub = [["-netdev", f"hubport,id=net{n},hubid=0"] for n in (4, 5)]
    result = run(tmp_path, config, [
        *AMDVI, *nic(4, "e1000e", cable=hub[0]), *nic(5, "virtio-net-pci", VIRTIO, cable=hub[1]),
        *disks.drive("00:06.0", "a"), "-device", f"virtio-blk-pci,drive=a,addr=6{VIRTIO}",
        *disks.drive("00:07.0", "b"), "-device", "ich9-ahci,id=sata,addr=7",
        "-device", "ide-hd,bus=sata.0,drive=b"])
    one, two = facts(result, "one"), facts(result, "two")
    assert one["received"] == two["data"] and two["received"] == one["data"] and one["data"] != two["data"]
    disks.check("00:06.0", one)
    disks.check("00:07.0", two)
    for told, functions in ((one, {"00:04.0": "8086:10d3", "00:06.0": "1af4:1042"}),
                            (two, {"00:05.0": "1af4:1041", "00:07.0": "8086:2922"})):
        seen = dict(told["pci"])
        del seen["00:00.0"]  # the virtual host bridge
        assert seen == functions
    check_injected(result, "one", one)
    check_injected(result, "two", two)
    result.ended(2, 0)


def test_lines(tmp_path):
    """INTx by stock drivers: two functions on one line, retargeted, through the I/O APIC; and without
    ACPI through the 8259s."""
    disks = Disks(tmp_path, "00:05.0")
    with Server() as server:
        words = f"mullion.port={server.port} pci=nomsi"
        config = linux("apic", f"mullion.disks=1 mullion.nics=1 {words}", cpus="1-2", pci=["00:04.0", "00:05.0"])
        config += linux("pic", f"mullion.disks=0 mullion.nics=1 {words} acpi=off", cpus="3", pci="00:06.0",
                        on_reset="stop")
        result = run(tmp_path, config, [
            *VTD, *nic(4, "e1000"), *nic(6, "e1000"), *disks.drive("00:05.0", "a"),
            "-device", "ich9-ahci,id=sata,addr=5", "-device", "ide-hd,bus=sata.0,drive=a"])
    apic, pic = facts(result, "apic"), facts(result, "pic")
    disks.check("00:05.0", apic)
    check_network(server, "00:04.0", apic)
    check_network(server, "00:06.0", pic)
    for function in ("00:04.0", "00:05.0"):
        check_moves(apic, function)
    assert kinds(apic) == {"00:04.0": {"intx"}, "00:05.0": {"intx"}} and kinds(pic) == {"00:06.0": {"intx"}}
    check_injected(result, "apic", apic, handlers=2)
    check_injected(result, "pic", pic)
    result.ended(2, 0)
