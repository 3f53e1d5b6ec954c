"""A QEMU machine that a test holds by the hand: resets it, looks at it, and changes what it finds.

Where vehicle.run lets a machine run to its end, this one stays: QMP resets it with its memory kept, as
the reset button does, and reads the screen; a debugger's connection (gdb's remote protocol) stops it
at a function of the hypervisor and changes registers and memory there, as broken firmware would have
left them.
"""

import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time

from screen import Screen
from vehicle import BUILD, clean

OVMF = pathlib.Path("/usr/share/OVMF")


def symbol(name, elf=BUILD / "mullion.elf"):
    """The address of a function of the hypervisor."""
    for line in subprocess.run(["nm", elf], capture_output=True, text=True, check=True).stdout.splitlines():
        address, _, found = line.split()
        if found == name:
            return int(address, 16)
    raise KeyError(name)


def connect(path, process, seconds=60):
    end = time.monotonic() + seconds
    while True:
        link = socket.socket(socket.AF_UNIX)
        try:
            link.connect(str(path))
            link.settimeout(120)
            return link
        except OSError:
            link.close()
            assert process.poll() is None, "QEMU ended"
            assert time.monotonic() < end, f"no connection to {path}"
            time.sleep(0.02)


class Debugger:
    """As much of gdb's remote protocol as a test needs; addresses are the hypervisor's virtual ones."""

    REGISTERS = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"]

    def __init__(self, link):
        self.link = link
        self.ask("?")
        self.ask("qXfer:features:read:target.xml:0,fff")  # until then QEMU reads no single register

    def send(self, text):
        self.link.sendall(f"${text}#{sum(text.encode()) & 0xff:02x}".encode())

    def byte(self):
        byte = self.link.recv(1)
        assert byte, "QEMU closed the debugger's connection"
        return byte

    def receive(self):
        while self.byte() != b"$":
            pass
        data = b""
        while not data.endswith(b"#"):
            data += self.byte()
        self.byte(), self.byte()
        self.link.sendall(b"+")
        return data[:-1].decode("latin-1")

    def ask(self, text):
        self.send(text)
        return self.receive()

    def run_to(self, address):
        """Goes on until the CPU is about to execute what stands there."""
        self.ask("s")  # off the breakpoint that it may stand on
        assert self.ask(f"Z1,{address:x},1") == "OK"
        stop = self.ask("c")
        assert stop.startswith("T05"), stop
        assert self.ask(f"z1,{address:x},1") == "OK"

    def go(self):
        """Goes on and leaves the machine alone."""
        self.send("D")
        self.link.close()

    def register(self, name):
        raw = bytes.fromhex(self.ask(f"p{self.REGISTERS.index(name):x}"))
        return int.from_bytes(raw, "little")

    def set_register(self, name, value):
        assert self.ask(f"P{self.REGISTERS.index(name):x}={value.to_bytes(8, 'little').hex()}") == "OK"

    def read(self, address, size):
        return bytes.fromhex(self.ask(f"m{address:x},{size:x}"))

    def write(self, address, data):
        assert self.ask(f"M{address:x},{len(data):x}:{data.hex()}") == "OK"


class Machine:
    """with Machine(image, ...) as m: ..."""

    def __init__(self, image, cpu="EPYC", smp="1", memory=256, uefi=False, machine="q35", serial=True,
                 debug=False, options=()):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="mullion-"))
        self.serial = self.work / "serial"
        self.serial.write_bytes(b"")
        self.start = 0  # of this boot in the serial file
        self.line = None  # to the serial port, once something was typed
        command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-nic", "none", "-M", machine,
                   "-accel", "tcg", "-cpu", cpu, "-smp", str(smp), "-m", str(memory), "-vga", "std",
                   "-qmp", f"unix:{self.work}/qmp,server=on,wait=off",
                   "-chardev", f"socket,id=console,path={self.work}/console,server=on,wait=off,logfile={self.serial}"]
        if serial:
            command += ["-serial", "chardev:console"]
        if debug:
            command += ["-S", "-gdb", f"unix:{self.work}/gdb,server=on,wait=off"]
        if uefi:
            size = "" if (OVMF / "OVMF_CODE.fd").exists() else "_4M"
            shutil.copy(OVMF / f"OVMF_VARS{size}.fd", self.work / "vars.fd")
            command += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={OVMF}/OVMF_CODE{size}.fd",
                        "-drive", f"if=pflash,format=raw,unit=1,file={self.work}/vars.fd"]
        command += ["-drive", f"if=none,id=boot,format=raw,readonly=on,file={image}",
                    "-device", "ide-cd,drive=boot,bootindex=0", *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self.screen = Screen(self.work / "qmp")
            self.debugger = Debugger(connect(self.work / "gdb", self.process)) if debug else None
        except BaseException:
            self.end()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.line:
            self.line.close()
        self.process.kill()
        self.process.wait()
        if self.serial.exists():
            print(f"--- {' '.join(self.process.args[7:])}\n{clean(self.serial.read_bytes())}")
        shutil.rmtree(self.work, ignore_errors=True)

    def drain(self):
        """Takes what the serial port sends, which is in its file too: it would wait for a line that is full."""
        try:
            while self.line and self.line.recv(65536, socket.MSG_DONTWAIT):
                pass
        except OSError:
            pass  # there is nothing more, now or for ever

    def text(self):
        """What this boot has printed."""
        return clean(self.serial.read_bytes()[self.start:])

    def wait(self, pattern, seconds=240):
        """Until this boot has printed it; the match."""
        end = time.monotonic() + seconds
        while True:
            self.drain()
            match = re.search(pattern, self.text(), re.M | re.S)
            if match:
                return match
            assert self.process.poll() is None, f"QEMU ended: {self.process.stderr.read().decode()}"
            assert time.monotonic() < end, f"not printed in {seconds} s: {pattern!r}\n{self.text()}"
            time.sleep(0.02)

    def reset(self):
        """The reset button: a new boot with the same memory."""
        self.start = len(self.serial.read_bytes())
        self.screen.command("system_reset")

    def type(self, data):
        """Bytes for the machine's serial port, which stays connected: cut off it would forget what waits."""
        if not self.line:
            self.line = connect(self.work / "console", self.process)
        self.line.sendall(data)

    def shows(self, text, seconds=120):
        """Until the text is on the screen, broken into lines in whatever way."""
        wanted = re.sub(r"\s", "", text)
        end = time.monotonic() + seconds
        while wanted not in re.sub(r"\s", "", "".join(self.screen.text())):
            assert time.monotonic() < end, f"not on the screen: {text!r}\n" + "\n".join(self.screen.text())
            time.sleep(0.1)
