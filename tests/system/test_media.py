"""The medium: one image whose files any system can edit, its menu, and the network."""

import functools
import http.server
import os
import re
import subprocess
import threading

import pytest
from test_console import Terminal
from vehicle import EPYC, SYSTEM, TOP, elf, guest, make_image, run

CONFIG = SYSTEM + guest("basic64", "basic64.elf", cmdline="word number=42")
LIMIT = 6_000_000  # bytes besides the guests' files


def partition(image):
    """The image's file system, as mtools name it."""
    with open(image, "rb") as f:
        f.seek(446)
        entry = f.read(16)
    assert entry[0] == 0x80 and entry[4] == 0x0c
    return f"{image}@@{int.from_bytes(entry[8:12], 'little') * 512}"


def mtools(command, image, *args, data=None):
    return subprocess.run([command, "-i", partition(image), *args], input=data, check=True,
                          capture_output=True, timeout=60).stdout


def edit(image, text):
    mtools("mcopy", image, "-o", "-", "::/mullion.conf", data=text)


def test_reproducible(tmp_path):
    """Same bytes from files of other dates and permissions, in a place of another name."""
    images = []
    for name, umask in (("one", 0o022), ("another", 0o077)):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "basic64.elf"
        old = os.umask(umask)
        try:
            file.write_bytes(elf("basic64").read_bytes())
            os.utime(file, (1e9, 1e9 + umask))
            images.append(make_image(tmp_path / name, CONFIG).read_bytes())
        finally:
            os.umask(old)
    assert images[0] == images[1]
    assert len(images[0]) - elf("basic64").stat().st_size < LIMIT


def test_names_and_room(tmp_path):
    image = make_image(tmp_path, CONFIG, [elf("basic64")], options=("--free", "3M"))
    found = mtools("mdir", image, "-/", "-b", "::").decode().split()
    found = [name[3:] for name in found if not name.endswith(".mod")]
    assert sorted(found) == sorted([
        "mullion.conf", "mullion.elf", "readme.txt", "files/", "files/basic64.elf", "grub/",
        "grub/grub.cfg", "grub/i386-pc/", "EFI/", "EFI/BOOT/", "EFI/BOOT/BOOTX64.EFI"])
    assert mtools("mtype", image, "::/files/basic64.elf") == elf("basic64").read_bytes()
    mtools("mcopy", image, "-", "::/files/more", data=bytes(3 << 20))


@pytest.mark.parametrize("names,why", [
    (["a.elf", "A.elf"], "differs in upper and lower case"),
    (["a."], "has a character"),
    (["data/Mullion.conf"], "only the image's own configuration is named mullion.conf"),
])
def test_names_that_fat_cannot_hold(tmp_path, names, why):
    config = SYSTEM
    for i, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
        config += guest(f"g{i}", name, cpus=str(i))
    (tmp_path / "test.conf").write_text(config, encoding="ascii")
    result = subprocess.run([TOP / "scripts/mkimage", "-c", tmp_path / "test.conf", "-o",
                             tmp_path / "image"], capture_output=True, text=True, timeout=240,
                            check=False)
    assert result.returncode == 1 and why in result.stderr
    assert not (tmp_path / "image").exists()


# The first boots by BIOS from the stick's partition, the second by UEFI from the CD's file, which is
# larger than the CD's boot catalog can tell.
@pytest.mark.parametrize("options,make", [(["--media", "usb"], []),
                                          (["--media", "cd", "--uefi"], ["--free", "40M"])],
                         ids=["usb", "cd-uefi"])
def test_edited(tmp_path, options, make):
    """What an editor on Windows leaves behind, naming a file that was not on the medium before."""
    image = make_image(tmp_path, CONFIG, [elf("basic64")], options=["--timeout", "0", *make])
    text = CONFIG + guest("new", "elf64.bin", cpus="1")
    edit(image, b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    mtools("mcopy", image, str(elf("elf64").with_suffix(".bin")), "::/files/elf64.bin")
    result = run(EPYC, image, smp=2, options=options)
    assert "PASS basic64" in result.guest("basic64")
    assert "PASS elf64" in result.guest("new")
    result.ended(2, 0)


@pytest.mark.parametrize("options", [[], ["--uefi"]], ids=["bios", "uefi"])
def test_edited_wrongly(tmp_path, options):
    image = make_image(tmp_path, CONFIG, [elf("basic64")])
    edit(image, b"\xef\xbb\xbf" + (CONFIG + "colour = red\n").replace("\n", "\r\n").encode())
    result = run(EPYC, image, options=["--media", "usb", *options])
    line = CONFIG.count("\n") + 1
    result.expect(rf"^refused: mullion\.conf:{line}:1: error: unknown key 'colour'", result.log())
    assert result.status == 1


@pytest.mark.parametrize("key,words", [("s", "first safe"), ("r", "first report"), ("\r", "first")],
                         ids=["safe", "report", "normal"])
def test_menu(tmp_path, key, words):
    """On the serial line too, and its choice reaches the hypervisor behind the image's own words."""
    image = make_image(tmp_path, CONFIG, [elf("basic64")], cmdline="first",
                       options=("--timeout", "60"))
    terminal = Terminal(image)
    try:
        terminal.wait(r"Safe mode: the first guest alone")
        terminal.wait(r"Hardware report")
        terminal.type(key)
        assert terminal.wait(r"^mullion: command line: (.*)\n")[1] == words
    finally:
        terminal.end()


def test_menu_does_not_wait_for_ever(tmp_path):
    image = make_image(tmp_path, CONFIG, [elf("basic64")], options=("--timeout", "1"))
    result = run(EPYC, image)
    result.ended(1, 0)
    assert not re.search(r"^command line:", "\n".join(result.log()), re.M)


def net(path, *options):
    (path / "basic64.elf").symlink_to(elf("basic64"))
    (path / "test.conf").write_text(CONFIG, encoding="ascii")
    subprocess.run([TOP / "scripts/mkimage", "-c", path / "test.conf", "--net", path / "net",
                    "--timeout", "0", *options], check=True, timeout=240)
    return path / "net"


@pytest.mark.parametrize("options", [[], ["--uefi"]], ids=["bios", "uefi"])
def test_network(tmp_path, options):
    """By PXE and TFTP, from the machine's firmware through GRUB to the guests' files. QEMU's server is 10.0.2.2;
    with UEFI GRUB is told so, and does not ask DHCP."""
    told = ["--tftp", "10.0.2.2"] if options else []
    directory = net(tmp_path, *told)
    assert (b"set server='tftp,10.0.2.2'" in (directory / "mullion.efi").read_bytes()) is bool(told)
    result = run(EPYC, directory, options=options)
    assert "PASS basic64" in result.guest("basic64")
    result.ended(1, 0)


def test_http(tmp_path):
    """GRUB alone by TFTP, everything else by HTTP; QEMU's 10.0.2.2 is this machine."""
    site = net(tmp_path, "--http", "10.0.2.2")
    (tmp_path / "tftp").mkdir()
    (site / "mullion.pxe").rename(tmp_path / "tftp/mullion.pxe")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=site)
    try:  # GRUB 2.06 knows no other port
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 80), handler)
    except OSError as why:
        pytest.skip(f"no HTTP server on port 80: {why.strerror}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        result = run(EPYC, tmp_path / "tftp")
    finally:
        server.shutdown()
        server.server_close()
    assert "PASS basic64" in result.guest("basic64")
    result.ended(1, 0)
