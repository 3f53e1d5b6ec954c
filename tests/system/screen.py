"""The display of a machine in QEMU, read as a person would: what stands on it, in lines of text.

In graphics modes the picture is compared with Mullion's font, pixel by pixel; in VGA text mode the
characters are read from the video memory. Whatever is no character of the font (a firmware's picture,
a boot loader's font) reads as U+FFFD, so that nothing is ever guessed.

    with screen.Machine(image, serial="none") as machine:
        machine.screen.wait(r"^mullion: linux: started")
        lines = machine.screen.text()
        machine.screen.png("picture.png")
        machine.type("\\x011")
"""

import collections
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import tempfile
import time
import zlib

from vehicle import TOP

WIDTH, HEIGHT = 8, 16
COLS, ROWS = 256, 96  # screens that would have more cells have larger ones
TEXT_MODE = (720, 400)
UNKNOWN = "\ufffd"

Picture = collections.namedtuple("Picture", "width height pixels")  # three bytes a pixel


def read_font(path=TOP / "hv/console/font.txt"):
    """The glyphs of font.txt: their pixels, row by row as text of . and #, to the character."""
    glyphs, code = {}, None
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if line.startswith("code "):
            code, rows = int(line.split()[1], 16), []
        elif re.fullmatch(r"([.#]{8} ){7}[.#]{8}", line):
            rows.append(line.split())
            if len(rows) == HEIGHT:
                for i in range(8):
                    glyphs["".join(row[i] for row in rows)] = chr(code + i)
    assert len(glyphs) == 96, "two glyphs look alike, or one is missing"
    return glyphs


def read_ppm(data):
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
    width, height = int(header[1]), int(header[2])
    pixels = data[header.end():]
    assert len(pixels) == 3 * width * height
    return Picture(width, height, pixels)


def png(picture):
    """The picture as PNG: with a palette where it has few colours, so that it is small."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    width, height, pixels = picture
    all_pixels = [pixels[i:i + 3] for i in range(0, len(pixels), 3)]
    colours = {c: i for i, c in enumerate(sorted(set(all_pixels)))}
    assert len(colours) <= 256
    bits = 4 if len(colours) <= 16 else 8
    rows = bytearray()
    for y in range(height):
        row = [colours[p] for p in all_pixels[y * width:(y + 1) * width]]
        rows.append(0)
        if bits == 4:
            row += [0] * (width % 2)
            row = [a << 4 | b for a, b in zip(row[::2], row[1::2])]
        rows += bytes(row)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0))
            + chunk(b"PLTE", b"".join(colours)) + chunk(b"IDAT", zlib.compress(bytes(rows), 9))
            + chunk(b"IEND", b""))


def read_cell(cell, glyphs):
    """One cell's pixels, a list, to its character."""
    colours = sorted(set(cell))
    if len(colours) == 1:
        return " "
    if len(colours) == 2:
        for ink in colours:
            glyph = "".join("#" if p == ink else "." for p in cell)
            if glyph in glyphs:
                return glyphs[glyph]
    return UNKNOWN


def read_picture(picture, glyphs, known):
    """The lines of a picture. `known` remembers cells from one call to the next."""
    width, height, pixels = picture
    scale = 1
    while width // scale // WIDTH > COLS or height // scale // HEIGHT > ROWS:
        scale += 1
    side, lines = 3 * WIDTH * scale, []
    for row in range(height // scale // HEIGHT):
        starts = [3 * width * (row * HEIGHT + y) * scale for y in range(HEIGHT)]
        line = []
        for x in range(0, width // scale // WIDTH * side, side):
            cell = b"".join(pixels[s + x:s + x + side] for s in starts)
            if cell not in known:
                points = [cell[i:i + 3] for i in range(0, len(cell), 3 * scale)]
                known[cell] = read_cell(points, glyphs)
            line.append(known[cell])
        lines.append("".join(line).rstrip())
    return lines


class Screen:
    """The display behind a QMP socket."""

    def __init__(self, path, seconds=120):
        self.glyphs, self.known = read_font(), {}
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + seconds
        while True:
            try:
                self.socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                assert time.monotonic() < end, "QEMU has not started"
                time.sleep(0.05)
        self.socket.settimeout(240)
        self.stream = self.socket.makefile("r", encoding="utf-8")
        self.stream.readline()  # the greeting
        self.command("qmp_capabilities")

    def command(self, name, **arguments):
        self.socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        for line in self.stream:
            answer = json.loads(line)
            if "event" not in answer:
                assert "return" in answer, answer
                return answer["return"]
        raise AssertionError("QEMU has ended")

    def monitor(self, line):
        """A command of QEMU's human monitor, and what it prints."""
        return self.command("human-monitor-command", **{"command-line": line})

    def picture(self):
        with tempfile.TemporaryDirectory(prefix="mullion-") as work:
            self.command("screendump", filename=f"{work}/screen.ppm")
            return read_ppm(pathlib.Path(work, "screen.ppm").read_bytes())

    def png(self, path):
        pathlib.Path(path).write_bytes(png(self.picture()))

    def text_mode(self, cols=80, rows=25):
        words = re.findall(r"0x([0-9a-f]{4})\b", re.sub(
            r"(?m)^\S+:", "", self.monitor(f"xp /{cols * rows}hx 0xb8000")))
        text = "".join(chr(int(w, 16) & 0x7f or 0x20) for w in words)
        return [text[i:i + cols].rstrip() for i in range(0, cols * rows, cols)]

    def text(self):
        """The lines on the display, without blanks at their ends."""
        picture = self.picture()
        if (picture.width, picture.height) == TEXT_MODE:
            return self.text_mode()
        return read_picture(picture, self.glyphs, self.known)

    def wait(self, pattern, seconds=240):
        """Waits until the pattern is found in the display's lines; returns these lines."""
        end = time.monotonic() + seconds
        while True:
            lines = self.text()
            if re.search(pattern, "\n".join(lines), re.M):
                return lines
            assert time.monotonic() < end, f"never shown: {pattern!r} in\n" + "\n".join(lines)
            time.sleep(0.2)


# What QEMU calls the keys of characters that are not their own name.
KEYS = {" ": "spc", "\n": "ret", "\t": "tab", "\b": "backspace", "\x1b": "esc", "-": "minus", "=": "equal",
        "[": "bracket_left", "]": "bracket_right", ";": "semicolon", "'": "apostrophe", "`": "grave_accent",
        "\\": "backslash", ",": "comma", ".": "dot", "/": "slash"}
SHIFTED = dict(zip('!@#$%^&*()_+{}:"~|<>?', "1234567890-=[];'`\\,./"))


def keys_of(char):
    """The keys of a US keyboard that make a character."""
    if char in SHIFTED:
        return ["shift"] + keys_of(SHIFTED[char])
    if char.isupper():
        return ["shift", char.lower()]
    if char < " " and char not in KEYS:
        return ["ctrl", chr(ord(char) | 0x60)]
    return [KEYS.get(char, char)]


class Machine:
    """A machine in QEMU with its display; ended when the `with` block is left."""

    def __init__(self, image, smp=1, memory=256, serial="none", timeout=480, options=(), qemu=()):
        self.directory = tempfile.TemporaryDirectory(prefix="mullion-")
        qmp = f"{self.directory.name}/qmp"
        command = [TOP / "scripts/run-qemu", image, "--smp", smp, "--memory", memory, "--cpu", "EPYC",
                   "--serial", serial, "--timeout", timeout, *options,
                   "--", "-qmp", f"unix:{qmp},server=on,wait=off", *qemu]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL)
        try:
            self.screen = Screen(qmp)
        except BaseException:
            self.end()
            raise

    def type(self, text):
        """Types on the machine's keyboard."""
        for char in text:
            self.screen.command("send-key", keys=[{"type": "qcode", "data": k} for k in keys_of(char)],
                                **{"hold-time": 20})
            time.sleep(0.08)  # QEMU keeps few keys, and the machine may stand still meanwhile

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)
        self.directory.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
