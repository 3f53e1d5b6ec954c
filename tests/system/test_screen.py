"""The screen: what stands on QEMU's display, on machines without a serial port.

`pytest tests/system/test_screen.py --pictures docs/pictures` keeps the pictures that docs/ shows.
"""

import pathlib
import re

import pytest
import screen
from test_media import mtools
from vehicle import GUESTS, LINUX, elf, guest, make_image

# Nothing is said about the console: the first serial port, which is not there, and the screen.
SYSTEM = "[system]\ndebug-exit = 0xf4\n"


@pytest.fixture
def keep(request):
    """Keeps a picture of a screen when asked to."""
    directory = request.config.getoption("--pictures")

    def picture(machine, name):
        if directory:
            pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
            machine.screen.png(pathlib.Path(directory, name))

    return picture


def set_mode(image, mode):
    """Has GRUB leave a graphics mode on a BIOS, as docs/console.md tells."""
    menu = mtools("mcopy", image, "::/grub/grub.cfg", "-")
    assert menu.count(b"set gfxpayload=text") == 1
    menu = menu.replace(b"set gfxpayload=text", f"insmod all_video; set gfxpayload={mode}".encode())
    mtools("mcopy", image, "-o", "-", "::/grub/grub.cfg", data=menu)
    return image


def tile(lines, title):
    """The lines of the tile whose bar begins so, the bar first; of the columns that it has."""
    top = next(i for i, line in enumerate(lines) if title in line)
    left = lines[top].index(title)
    text = [lines[top][left:].split("|")[0].rstrip()]
    for line in lines[top + 1:]:
        if line.startswith("log  ") or re.match(r"\d[ >]\w+  \w+  CPU", line[left:]):
            break
        text.append(line[left:].split("|")[0].rstrip())
    return text


def test_text_mode_keys_and_last_words(tmp_path):
    """VGA text, the switch keys on the machine's keyboard, and a machine check in the hypervisor."""
    config = SYSTEM + guest("spin", "spin.elf") + guest("ticker", "ticker.elf", cpus="1", memory="4M",
                                                        cmdline="hz=10")
    image = make_image(tmp_path, config, [elf("spin"), GUESTS / "ticker.elf"])
    with screen.Machine(image, smp=3) as machine:
        show = machine.screen
        lines = show.wait(r"^ticker: 2\d ticks, lost \d+$")
        assert tile(lines, "1>spin  running  CPU 0  ")[1] == "spinning"
        bar = tile(lines, "2 ticker  ")[0]
        assert 10 <= int(re.search(r"  CPU 1  (\d+) exits/s$", bar)[1]) < 1000
        log = lines[next(i for i, line in enumerate(lines) if line.startswith("log  ")):]
        assert "mullion: ticker: started on CPU 1: multiboot 1, 1 vCPU, 4096 KiB" in log

        machine.type("\x012")  # the ticker alone, on the whole screen
        lines = show.wait(r"^2>ticker .* Ctrl-a l: all$")
        assert lines[1].startswith("ticker: 10 ticks a second") and re.match(r"ticker: 2\d ticks, lost \d", lines[3])
        show.wait(r"^ticker: [6-9]\d ticks")
        machine.type("\x01l")
        lines = show.wait(r"^1 spin [^\0]*^2>ticker [^\0]*^log  ")
        seen = re.findall(r"^ticker: (\d+) ticks, lost \d", "\n".join(tile(lines, "2>ticker  ")), re.M)
        assert len(seen) >= 3 and int(seen[-1]) >= 60

        machine.type("\x010")  # the log alone, from its beginning
        show.wait(r"^log  PageUp [^\0]*^mullion: ticker: started")
        show.command("send-key", keys=[{"type": "qcode", "data": "home"}])
        lines = show.wait(r"^mullion: Mullion, started by GRUB")
        assert len(lines) == 25 and "mullion: ticker: started" not in "\n".join(lines)

        show.monitor("mce 2 0 0xb200000000000000 0x5 0 0")
        lines = show.wait(r"^mullion:   cr0 ")
        first = next(i for i, line in enumerate(lines) if line.startswith("mullion: stopped: "))
        assert lines[first].startswith("mullion: stopped: #MC (vector 18, error code 0x0) in the hypervisor")
        assert "mullion: ticker: started on CPU 1: multiboot 1, 1 vCPU, 4096 KiB" in lines[:first]


def test_boot_log_16_bits(tmp_path, keep):
    """The whole life of a machine with neither serial port nor keyboard, in a mode of 16 bits."""
    config = SYSTEM + "when-all-stopped = halt\n" + guest("basic64", "basic64.elf", cmdline="word number=42")
    image = set_mode(make_image(tmp_path, config, [elf("basic64")]), "1024x768x16")
    with screen.Machine(image, qemu=["-M", "q35,i8042=off"]) as machine:
        lines = machine.screen.wait(r"^mullion: the machine has stopped$")
        assert machine.screen.picture()[:2] == (1024, 768)
        assert screen.UNKNOWN not in "".join(lines)
        assert lines[0].startswith("mullion: ")
        assert any(re.match(r"mullion: Mullion, started by GRUB", line) for line in lines)
        assert "mullion: console: no UART answers at port 0x3f8" in lines
        assert "mullion: keyboard: no 8042 answers" in lines
        assert "mullion: all guests ended: 1 ok, 0 failed" in lines
        keep(machine, "boot-log.png")


def test_tiles_24_bits(tmp_path, keep):
    """Linux and a second guest in tiles; a shell that is typed to on the machine's keyboard."""
    config = (SYSTEM + guest("linux", "bzImage", cpus="0-1", memory="256M", initrd="initrd.img",
                             cmdline='"console=ttyS0 cryptomgr.notests"')
              + guest("ticker", "ticker.elf", cpus="2", memory="4M", cmdline="hz=10"))
    image = set_mode(make_image(tmp_path, config, [LINUX / "bzImage", LINUX / "initrd.img",
                                                   GUESTS / "ticker.elf"]), "1024x768x24")
    with screen.Machine(image, smp=4, memory=512) as machine:
        show = machine.screen
        show.wait(r"^/ # ")
        machine.type("echo $((6 * 7)) \"<{It works}>\"\n")
        lines = show.wait(r"^42 <{It works}>")
        shell = tile(lines, "1>linux  ")
        assert re.match(r"1>linux  (running|halted)  CPUs 0-1  \d+ exits/s$", shell[0])
        assert any(re.match(r"\[ *\d+\.\d+\] ", line) for line in shell)
        assert any(re.match(r"ticker: \d+ ticks, lost \d", line) for line in tile(lines, "2 ticker  "))
        assert any(line.startswith("mullion: linux: started on CPU 0: Linux") for line in lines)
        assert screen.UNKNOWN not in "".join(lines)
        keep(machine, "tiles.png")


def test_config_error_on_uefi(tmp_path, keep):
    """What is wrong with the configuration, on a screen of 32 bits that UEFI has left."""
    config = SYSTEM + guest("linux", "basic64.elf", cpus="0-3")
    image = make_image(tmp_path, config, [elf("basic64")])
    with screen.Machine(image, smp=2, options=["--uefi"]) as machine:
        lines = machine.screen.wait(r"^mullion: refused: ")
        line = next(i for i, line in enumerate(lines) if line.startswith("mullion: refused: "))
        assert re.match(r"mullion: refused: mullion\.conf:4:\d+: error: ", lines[line])
        keep(machine, "config-error.png")
