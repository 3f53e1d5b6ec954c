"""Runs one emulator to its end: what run-qemu and run-bochs share.

The verdict comes from the serial line alone, because an emulator's own exit status tells nothing:
the hypervisor's last line is "mullion: all guests ended: N ok, M failed". Guests cannot forge it,
their lines carry a prefix. The exit status is 0 when every guest ended with success, 1 when one
failed or nothing was decided, 124 at the time limit.
"""

import ctypes
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
import tty

ENDED = re.compile(r"mullion: all guests ended: (\d+) ok, (\d+) failed$")
GAVE_UP = re.compile(r"mullion: (refused:|stopped:|ended from the console)")
ESCAPES = re.compile(r"\x1b\[[0-9;?=]*[A-Za-z]")
TIMED_OUT = 124
GRACE = 3.0  # seconds without a word: then a machine whose end is known has no more to say
GRACE_MOST = 30.0  # in all, to say the rest and to switch itself off


class Verdict:
    """Reads a growing serial file and finds the hypervisor's last word in it."""

    def __init__(self, path, go_on):
        self.path = path
        self.go_on = go_on
        self.offset = 0
        self.rest = b""
        self.heard = 0.0  # when there was something new last
        self.status = None
        self.reason = ""

    def read(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.offset)
                data = f.read()
        except FileNotFoundError:
            return
        self.offset += len(data)
        if data:
            self.heard = time.monotonic()
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.judge(ESCAPES.sub("", line.decode("latin-1")).strip("\r \0"))

    def judge(self, line):
        ended = ENDED.match(line)
        if GAVE_UP.match(line) and not self.go_on:
            self.decide(1, line)
        elif ended:
            ok, failed = int(ended[1]), int(ended[2])
            self.decide(0 if ok and not failed else 1, line)

    def decide(self, status, reason):
        # A failure stays one, whatever follows.
        if self.status != 1:
            self.status, self.reason = status, reason


def die_with_parent():
    """In the child: an emulator never outlives the script that started it."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)


def stop(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Terminal:
    """The user's terminal, raw, so that every key (Ctrl-C too) reaches the machine."""

    def __init__(self):
        self.saved = termios.tcgetattr(0) if os.isatty(0) else None

    def __enter__(self):
        if self.saved:
            tty.setraw(0)
            now = termios.tcgetattr(0)
            now[1] |= termios.OPOST
            termios.tcsetattr(0, termios.TCSANOW, now)
        return self

    def __exit__(self, *_):
        if self.saved:
            termios.tcsetattr(0, termios.TCSADRAIN, self.saved)


class Relay:
    """Between the terminal and a pseudo-terminal that is the machine's serial port."""

    def __init__(self, master, log):
        self.master = master
        self.log = open(log, "wb", buffering=0)
        self.inputs = [master, 0]

    def pump(self, seconds):
        ready, _, _ = select.select(self.inputs, [], [], seconds)
        for fd in ready:
            try:
                data = os.read(fd, 4096)
            except OSError:  # nobody has the other side open
                data = b""
            if not data:
                if fd == 0:
                    self.inputs.remove(0)
                else:
                    time.sleep(seconds)
            elif fd == 0:
                os.write(self.master, data)
            else:
                self.log.write(data)
                os.write(1, data)


def run(command, serial, timeout=None, relay=None, keep_stdin=False, stdout=None, stderr=None,
        env=None, go_on=False):
    """Starts `command`, watches `serial` and returns the exit status. go_on: a refusal is not the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    verdict = Verdict(serial, go_on)
    start = time.monotonic()
    decided = None
    with Terminal() if keep_stdin or relay else open(os.devnull):
        process = subprocess.Popen(
            command,
            stdin=None if keep_stdin else subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=env,
            preexec_fn=die_with_parent,
        )
        try:
            while process.poll() is None:
                if relay:
                    relay.pump(0.05)
                else:
                    time.sleep(0.05)
                verdict.read()
                now = time.monotonic()
                if verdict.status is not None and decided is None:
                    decided = now
                if decided and (now > verdict.heard + GRACE or now > decided + GRACE_MOST):
                    break
                if timeout and now - start > timeout:
                    return report(TIMED_OUT, f"no end after {timeout:g} seconds")
        finally:
            stop(process)
    if relay:
        relay.pump(0.1)
    verdict.read()
    if verdict.status is None:
        return report(1, "the machine stopped before all guests had ended")
    if verdict.status:
        report(verdict.status, verdict.reason)
    return verdict.status


def report(status, text):
    print(f"{os.path.basename(sys.argv[0])}: {text}", file=sys.stderr)
    return status


def mebibytes(text):
    """512, 512M and 2G as MiB."""
    match = re.fullmatch(r"(\d+)([MmGg]?)", text)
    if not match or not int(match[1]):
        raise ValueError(text)
    return int(match[1]) * (1024 if match[2] in ("G", "g") else 1)


def need(path, package):
    """Ends the script with a hint when a file or program is missing."""
    if not os.path.exists(path):
        sys.exit(report(1, f"{path} is missing: apt-get install {package} (or scripts/install-deps)"))
