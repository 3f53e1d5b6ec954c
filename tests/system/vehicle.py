"""The harness of the system tests: an image from a configuration, one run of it on one vehicle.

A vehicle is an emulator with a CPU model. A run goes through scripts/mkimage and scripts/run-*, as a
user's would. A run that reaches its time limit fails the test that asked for it, always; limits are many
times what is needed, since the machine that tests may be slow and busy.
"""

import dataclasses
import os
import pathlib
import re
import resource
import socket
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / "build"
GUESTS = BUILD / "guests"
LINUX = BUILD / "linux"

# Every emulator ends in its own way, and leaves the verdict to the serial line.
SYSTEM = """\
[system]
console = com1
debug-exit = 0xf4
bochs-shutdown = yes
"""


@dataclasses.dataclass(frozen=True)
class Vehicle:
    name: str
    emulator: str
    cpu: str

    def __str__(self):
        return self.name

    @property
    def bochs(self):
        return self.emulator == "run-bochs"

    @property
    def svm(self):
        return not self.cpu.startswith(("corei7_", "broadwell_"))


SKYLAKE = Vehicle("skylake", "run-bochs", "corei7_skylake_x")
HASWELL = Vehicle("haswell", "run-bochs", "corei7_haswell_4770")
BROADWELL = Vehicle("broadwell", "run-bochs", "broadwell_ult")
SANDY_BRIDGE = Vehicle("sandy_bridge", "run-bochs", "corei7_sandy_bridge_2600k")
ZAMBEZI = Vehicle("zambezi", "run-bochs", "zambezi")
EPYC = Vehicle("epyc", "run-qemu", "EPYC")
MAX = Vehicle("max", "run-qemu", "max")
TINY = (SKYLAKE, ZAMBEZI, EPYC, MAX)  # where the tiny guests run


def guest(name, kernel, cpus="0", memory="16M", **keys):
    """One [guest] section; underscores in keys stand for hyphens."""
    keys = {"cpus": cpus, "memory": memory, "kernel": kernel, "serial": "com1",
            "debug-exit": "0xf4", **keys}
    lines = [f"[guest {name}]"]
    for key, value in keys.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                lines.append(f"{key.replace('_', '-')} = {one}")
    return "\n".join(lines) + "\n"


@dataclasses.dataclass
class Run:
    """What came of it. `status` is the script's, None when the test itself stopped the run."""

    status: int
    text: str = dataclasses.field(repr=False)
    seconds: float
    cpu: float  # seconds of CPU time, which do not depend on what else runs

    def log(self):
        """The hypervisor's own lines."""
        return re.findall(r"^mullion: (.*)$", self.text, re.M)

    def guest(self, name):
        """A guest's lines."""
        return re.findall(rf"^{re.escape(name)}\| (.*)$", self.text, re.M)

    def expect(self, pattern, where=None):
        """The first match of a pattern in the log, a guest's lines, or all; failing when there is none."""
        match = re.search(pattern, self.text if where is None else "\n".join(where), re.M)
        assert match, f"no line like {pattern!r}"
        return match

    def ended(self, ok, failed):
        """All guests have come to their end, and the script's status says the same."""
        assert self.log()[-1] == f"all guests ended: {ok} ok, {failed} failed"
        assert self.status == (1 if failed else 0)


def make_image(path, config, files=(), cmdline="", options=("--timeout", "0")):
    """Writes the configuration beside links to the files it names, and makes the image."""
    path = pathlib.Path(path)
    for file in files:
        file = pathlib.Path(file)
        link = path / file.name
        if not link.exists():
            link.symlink_to(file)
    (path / "test.conf").write_text(config, encoding="utf-8")
    image = path / "test.img"
    command = [TOP / "scripts/mkimage", "-c", path / "test.conf", "-o", image, *options]
    if cmdline:
        command += ["--cmdline", cmdline]
    subprocess.run(command, check=True, timeout=240)
    return image


def clean(data):
    return re.sub(r"\x1b\[[0-9;?=]*[A-Za-z]", "", data.decode("latin-1")).replace("\r", "").replace("\0", "")


class Monitor:
    """QEMU's monitor: what happens to a machine from outside, and what is in it."""

    def __init__(self, path):
        self.path = str(path / "monitor")
        self.options = ["-monitor", f"unix:{self.path},server=on,wait=off"]

    def __call__(self, *commands):
        """Gives commands in turn; returns all that was answered."""
        seen = b""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(120)
            s.connect(self.path)
            for command in (None, *commands):
                if command:
                    s.sendall(command.encode() + b"\n")
                answer = b""
                while not answer.endswith(b"(qemu) "):
                    part = s.recv(65536)
                    assert part, f"the monitor ended at {command!r}"
                    answer += part
                seen += answer
        return clean(seen)


def cpu_seconds():
    """Of all processes that were started here and have ended, with theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(vehicle, image, smp=1, memory=256, timeout=240, options=(), until=None, acts=()):
    """Runs an image. With `until`, a pattern, the run is over when all of it has been printed.

    `acts`, pairs of a pattern and a function: each is called once, in turn, when its pattern shows.
    """
    serial = pathlib.Path(image).with_suffix(".serial")
    serial.write_bytes(b"")
    command = [TOP / "scripts" / vehicle.emulator, image, "--smp", str(smp), "--memory", str(memory),
               "--cpu", vehicle.cpu, "--serial", serial, "--timeout", str(timeout), *options]
    acts = list(acts)
    start, cpu = time.monotonic(), cpu_seconds()
    process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL)
    status = None
    try:
        while status is None:
            try:
                status = process.wait(0.1)
            except subprocess.TimeoutExpired:
                if acts and re.search(acts[0][0], clean(serial.read_bytes()), re.M):
                    acts.pop(0)[1]()
                if until and re.search(until, clean(serial.read_bytes()), re.M | re.S):
                    break
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    result = Run(status, clean(serial.read_bytes()), time.monotonic() - start,
                 cpu_seconds() - cpu)
    print(f"--- {vehicle}, status {status}, {result.seconds:.1f} s\n{result.text}")
    assert status != 124, f"no end after {timeout} s"
    assert not acts, f"never printed: {acts[0][0]!r}"
    if until:
        assert re.search(until, result.text, re.M | re.S), f"never printed: {until!r}"
    return result


def boot(vehicle, path, config, files=(), cmdline="", **options):
    """make_image and run in one."""
    return run(vehicle, make_image(path, config, files, cmdline), **options)


def elf(name):
    return GUESTS / f"{name}.elf"
