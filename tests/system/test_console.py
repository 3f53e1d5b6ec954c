"""The terminal: a person at a pseudo-terminal types, and sees what a person would see."""

import os
import pty
import re
import select
import signal
import subprocess
import time

from vehicle import GUESTS, LINUX, SYSTEM, TOP, guest, make_image

CONFIG = (
    SYSTEM
    + guest("linux", "bzImage", memory="256M", initrd="initrd.img", debug_exit=None,
            cmdline='"console=ttyS0 quiet cryptomgr.notests"')
    + guest("ticker", "ticker.elf", cpus="1", memory="4M", cmdline="hz=10")
)


class Terminal:
    """A machine whose console is a pseudo-terminal."""

    def __init__(self, image, *options):
        self.seen = ""
        self.master, slave = pty.openpty()
        command = [TOP / "scripts/run-qemu", image, "--smp", "2", "--memory", "512", "--timeout", "480",
                   *options]
        self.process = subprocess.Popen([str(c) for c in command], stdin=slave, stdout=slave,
                                        stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(slave)

    def read(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.master, 4096).decode("latin-1").replace("\r", "")
            except OSError:
                pass

    def wait(self, pattern, seconds=240):
        """Waits until the pattern shows in what came since the last wait, and drops what it took."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.seen, re.M)):
            assert time.monotonic() < end, f"never seen: {pattern!r} in {self.seen!r}"
            self.read(0.2)
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        os.write(self.master, text.encode("latin-1"))

    def end(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
        os.close(self.master)
        return self.process.wait(60)


def test_typing_and_switch_keys(tmp_path):
    image = make_image(tmp_path, CONFIG, [LINUX / "bzImage", LINUX / "initrd.img", GUESTS / "ticker.elf"])
    terminal = Terminal(image)
    try:
        terminal.wait(r"^linux\| / # ")
        terminal.type("echo $((6 * 7))\n")
        terminal.wait(r"^linux\| 42$")
        terminal.wait(r"^ticker\| ticker: \d+ ticks")
        terminal.type("\x011")  # Linux alone
        terminal.wait(r"^--- linux \(Ctrl-a l: all\) ---$")
        terminal.type("echo $((6 * 8))\n")
        terminal.wait(r"^48$")
        terminal.seen = ""
        for _ in range(15):
            terminal.read(0.2)
        assert "ticker|" not in terminal.seen
        terminal.type("\x012")  # the ticker alone
        terminal.wait(r"^--- ticker \(Ctrl-a l: all\) ---$")
        terminal.wait(r"^ticker: \d+ ticks")
        terminal.type("\x01l")
        terminal.wait(r"^--- log and all guests ---$")
        terminal.wait(r"^mullion: ")
        terminal.wait(r"^ticker\| ticker: \d+ ticks")
        terminal.type("\x01x")
        terminal.wait(r"^mullion: ended from the console$")
        assert terminal.process.wait(60) is not None
    finally:
        terminal.end()
