"""Mullion's own UEFI loader, and Secure Boot: with it, and with GRUB.

Firmware that gets control back starts the next medium. So one machine has a row of media, each with
one thing wrong, and a sound one at the end: every refusal is told, and leaves nothing behind that
would hinder the next start.
"""

import re
import subprocess

import pytest
import screen
from test_console import Terminal
from test_media import mtools
from vehicle import BUILD, EPYC, GUESTS, LINUX, SYSTEM, TOP, clean, elf, guest, make_image, run

CONFIG = SYSTEM + guest("basic64", "basic64.elf", cmdline="word number=42")
EFI = ("--efi-only",)
KEY = "/usr/share/ovmf/PkKek-1-snakeoil"


def put(image, name, data):
    mtools("mcopy", image, "-o", "-", f"::/{name}", data=data)


def get(image, name):
    return mtools("mtype", image, f"::/{name}")


def edited(path, base, name, *changes):
    """A copy of an image, changed by calls: (function, arguments...)."""
    image = path / f"{name}.img"
    image.write_bytes(base.read_bytes())
    for change, *args in changes:
        change(image, *args)
    return image


def row(images):
    """The media behind the first one, as QEMU's arguments."""
    line = ["--"]
    for i, image in enumerate(images[1:], 1):
        line += ["-drive", f"if=none,id=d{i},format=raw,snapshot=on,file={image}",
                 "-device", f"virtio-blk-pci,drive=d{i},bootindex={i}"]
    return line


def refusals(images, refused, *options):
    """Boots a row of media; returns the sentence of each that is refused, and the rest of the text."""
    terminal = Terminal(images[0], "--cpu", EPYC.cpu, "--go-on", *options, *row(images))
    told = []
    try:
        for _ in range(refused):
            match = terminal.wait(r"^mullion: refused: ((?:.|\n)*?)mullion: press a key")
            told.append(clean(match[1].encode("latin-1")).strip().replace("\n", " "))
            terminal.type("\r")
        terminal.wait(r"^mullion: all guests ended: 1 ok, 0 failed")
    finally:
        terminal.end()
    return told


def test_linux_beside_ticker(tmp_path):
    """From a stick, with a choice in [boot]: another configuration, and words for the hypervisor."""
    config = SYSTEM + "[boot]\ncmdline = \"console=com1 check-pages\"\n"
    config += guest("linux", "bzImage", memory="256M", initrd="initrd-poweroff.img",
                    cmdline="\"console=ttyS0 quiet\"", debug_exit=None)
    config += guest("ticker", "ticker.elf", cpus="1", memory="4M", cmdline="seconds=2",
                    debug_exit=None)
    (tmp_path / "both.conf").write_text(config, encoding="utf-8")
    files = [LINUX / "bzImage", LINUX / "initrd-poweroff.img", GUESTS / "ticker.elf"]
    image = make_image(tmp_path, "[boot]\nconfig = both.conf\n", files, options=EFI)
    result = run(EPYC, image, smp=2, memory=512, options=["--uefi", "--media", "usb"])
    result.expect(r"^files/both\.conf: 2 guests, 4 files$", result.log())
    result.expect(r"^Mullion, started by Mullion's UEFI loader on UEFI$", result.log())
    result.expect(r"^command line: config=both\.conf console=com1 check-pages$", result.log())
    result.expect(r"^page tables: \d+ leaves, 0 writable and executable$", result.log())
    result.expect(r"^fact: end$", result.guest("linux"))
    result.ended(2, 0)


def test_cd_and_screen(tmp_path):
    """A CD whose file system is larger than its boot catalog can tell, and nothing but a screen.

    Other media are in test_matrix.
    """
    config = ("[system]\ndebug-exit = 0xf4\nwhen-all-stopped = halt\n"
              + guest("basic64", "basic64.elf", cmdline="word number=42"))
    image = make_image(tmp_path, config, [elf("basic64")], options=[*EFI, "--free", "40M"])
    with screen.Machine(image, options=["--uefi", "--media", "cd"]) as machine:
        lines = machine.screen.wait(r"^mullion: all guests ended: 1 ok, 0 failed$")
    assert "mullion: Mullion, started by Mullion's UEFI loader on UEFI" in lines


def test_image(tmp_path):
    """No GRUB in it, and the same bytes again."""
    images = [make_image(tmp_path, CONFIG, [elf("basic64")], options=EFI).read_bytes() for _ in "12"]
    assert images[0] == images[1]
    found = mtools("mdir", tmp_path / "test.img", "-/", "-b", "::").decode().split()
    assert sorted(found) == sorted("::/" + name for name in (
        "mullion.conf", "mullion.elf", "readme.txt", "files/", "files/basic64.elf", "EFI/",
        "EFI/BOOT/", "EFI/BOOT/BOOTX64.EFI"))


@pytest.mark.parametrize("options,why", [
    (["--efi-only", "--cmdline", "safe"], "write cmdline = ... into [boot]"),
    (["--sign", "none.key", "none.pem"], "none.key: no such file"),
    (["--sign", "/dev/null", "/dev/null"], "/dev/null: no such file"),
    (["--with", "none.conf"], "none.conf: no such file"),
    (["--with", "other/basic64.conf"], "another file is named 'basic64.elf', too"),
])
def test_mkimage_refuses(tmp_path, options, why):
    (tmp_path / "test.conf").write_text(CONFIG, encoding="ascii")
    (tmp_path / "basic64.elf").write_bytes(b"one")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/basic64.conf").write_text(CONFIG, encoding="ascii")
    (tmp_path / "other/basic64.elf").write_bytes(b"another")
    result = subprocess.run([TOP / "scripts/mkimage", "-c", "test.conf", "-o", "image", *options],
                            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1 and why in result.stderr
    assert not (tmp_path / "image").exists()


def test_load_options(tmp_path):
    """Typed in the firmware's shell: a configuration taken along by --with, and another word."""
    (tmp_path / "other.conf").write_text(CONFIG.replace("guest basic64", "guest other"), encoding="ascii")
    image = make_image(tmp_path, CONFIG, [elf("basic64")],
                       options=[*EFI, "--with", str(tmp_path / "other.conf")])
    put(image, "loader.efi", get(image, "EFI/BOOT/BOOTX64.EFI"))
    remove(image, "EFI/BOOT/BOOTX64.EFI")
    put(image, "startup.nsh", b"fs0:\\loader.efi config=other.conf check-pages\r\n")
    terminal = Terminal(image, "--cpu", EPYC.cpu, "--uefi", "--media", "sata")
    try:
        terminal.wait(r"startup\.nsh")
        terminal.type("\r")
        terminal.wait(r"^mullion: files/other\.conf: 1 guest, 2 files")
        terminal.wait(r"^mullion: command line: config=other\.conf check-pages$")
        terminal.wait(r"^other\| PASS basic64")
    finally:
        terminal.end()


def cut(image, name, size):
    put(image, name, get(image, name)[:size])


def replace(image, name, old, new):
    data = get(image, name)
    assert old in data
    put(image, name, data.replace(old, new))


def remove(image, name):
    mtools("mdel", image, f"::/{name}")


def test_each_mistake_has_its_sentence(tmp_path):
    good = make_image(tmp_path, CONFIG, [elf("basic64")], options=[*EFI, "--free", "4M"])
    line = CONFIG.count("\n") + 1
    kernel = CONFIG[:CONFIG.index("kernel")].count("\n") + 1
    conf, elf_size = "mullion.conf", len(get(good, "mullion.elf"))
    cases = [
        ("no-config", [(remove, conf)],
         "mullion.conf: not found (EFI_NOT_FOUND); put it on the medium that this loader is on"),
        ("no-kernel", [(remove, "files/basic64.elf")],
         f"mullion.conf:{kernel}:10: error: file 'basic64.elf' is not there; put it beside the "
         "configuration"),
        ("empty-kernel", [(put, "files/basic64.elf", b"")], "files/basic64.elf: is empty; copy it again"),
        ("directory", [(remove, "mullion.elf"), (lambda i: mtools("mmd", i, "::/mullion.elf"),)],
         "mullion.elf: is a directory; a file must have that name"),
        ("cut-elf", [(cut, "mullion.elf", elf_size // 2)],
         rf"mullion\.elf: (program header \d at offset 0x\w+: file range 0x\w+\+0x\w+ ends|\d+ program "
         rf"headers at offset 0x\w+ end) beyond the file \(0x{elf_size // 2:x} bytes\)"),
        ("not-ours", [(put, "mullion.elf", elf("basic64").with_suffix(".elf64").read_bytes())],
         "mullion.elf: not Mullion: no relocatable multiboot2 header in its first 32 KiB"),
        ("mistake", [(put, conf, (CONFIG + "colour = red\n").encode())],
         f"mullion.conf:{line}:1: error: unknown key 'colour'; docs/config.md lists the keys of [guest]"),
        ("large-config", [(put, conf, b"#" * (1 << 20) + b"\n")],
         "mullion.conf: has 1048577 bytes; at most 1048576 can be loaded"),
        ("large-file", [(put, conf, CONFIG.replace("16M", "2M").encode()),
                        (put, "files/basic64.elf", bytes(3 << 20))],
         f"mullion.conf:{kernel}:10: error: file 'basic64.elf' of 3M does not fit into the guest's memory "
         f"of 2M; raise memory on line {kernel - 1}"),
        ("named", [(put, conf, b"[boot]\nconfig = other.conf\n")],
         "files/other.conf: not found (EFI_NOT_FOUND); put it on the medium that this loader is on "
         "(named by mullion.conf:2:10)"),
    ]
    images = [edited(tmp_path, good, name, *changes) for name, changes, _ in cases] + [good]
    told = refusals(images, len(cases), "--uefi", "--media", "sata")
    for (name, _, wanted), sentence in zip(cases, told):
        if name == "cut-elf":
            assert re.fullmatch(wanted, sentence), sentence
        else:
            assert sentence == wanted


# --- Secure Boot ---


@pytest.fixture(scope="module")
def sign(tmp_path_factory):
    """mkimage's options to sign with the test key that Debian's OVMF trusts."""
    key = tmp_path_factory.mktemp("key") / "test.key"
    subprocess.run(["openssl", "rsa", "-in", f"{KEY}.key", "-passin", "pass:snakeoil", "-out", key],
                   check=True, capture_output=True, timeout=60)
    return ["--sign", str(key), f"{KEY}.pem"]


def flip(image, name):
    data = bytearray(get(image, name))
    data[len(data) // 2] ^= 1
    put(image, name, bytes(data))


def test_secure_boot(tmp_path, sign):
    """The firmware refuses what is not signed, the signed loader what was changed."""
    signed = make_image(tmp_path, CONFIG, [elf("basic64")], options=[*EFI, *sign])
    changed = ": changed since this loader was signed (its SHA-256 differs); sign the image again"
    images = [
        edited(tmp_path, signed, "unsigned",
               (put, "EFI/BOOT/BOOTX64.EFI", (BUILD / "BOOTX64.EFI").read_bytes())),
        edited(tmp_path, signed, "bit", (flip, "EFI/BOOT/BOOTX64.EFI")),
        edited(tmp_path, signed, "config", (replace, "mullion.conf", b"16M", b"17M")),
        edited(tmp_path, signed, "hypervisor", (flip, "mullion.elf")),
        edited(tmp_path, signed, "kernel", (flip, "files/basic64.elf")),
        edited(tmp_path, signed, "other", (put, "files/x.elf", elf("basic64").read_bytes()),
               (replace, "mullion.conf", b"basic64.elf", b"x.elf")),
        signed,
    ]
    told = refusals(images, 4, "--secure-boot", "--media", "sata")
    assert told == ["mullion.conf" + changed, "mullion.elf" + changed, "files/basic64.elf" + changed,
                    "mullion.conf" + changed]


def test_secure_boot_grub(tmp_path, sign):
    """GRUB takes no file whose signature is not of its key, and starts nothing without."""
    signed = make_image(tmp_path, CONFIG, [elf("basic64")], options=["--timeout", "0", *sign])
    sata = ["--secure-boot", "--media", "sata"]
    gave_up = r"GRUB could not start Mullion"
    unsigned = edited(tmp_path, signed, "unsigned", (flip, "EFI/BOOT/BOOTX64.EFI"))
    menu = edited(tmp_path, signed, "menu", (replace, "grub/grub.cfg", b"Safe", b"Same"))
    result = run(EPYC, unsigned, options=[*sata, *row([None, menu])], until=r"was changed since it was signed")
    result.expect("Boot0001.*Access Denied")
    hypervisor = edited(tmp_path, signed, "hypervisor", (flip, "mullion.elf"))
    result = run(EPYC, hypervisor, options=sata, until=rf"error: bad signature.*{gave_up}")
    assert "mullion:" not in result.text
    files = edited(tmp_path, signed, "files", (replace, "mullion.conf", b"16M", b"17M"),
                   (remove, "files/basic64.elf.sig"))
    result = run(EPYC, files, options=sata, until=gave_up)
    result.expect(r"error: bad signature")
    result.expect(r"error: file .*basic64\.elf\.sig. not found")
    assert "mullion:" not in result.text
    image = make_image(tmp_path, CONFIG, [elf("basic64")], options=["--timeout", "60", *sign])
    terminal = Terminal(image, "--cpu", EPYC.cpu, *sata)
    try:
        terminal.wait(r"Hardware report")
        terminal.type("c")  # GRUB's command line, where checks can be turned off
        terminal.wait(r"Enter username:")
        terminal.type("\x1b")
        terminal.wait(r"error: access denied")
        terminal.type("\r")
        terminal.wait(r"mullion: Mullion, started by GRUB")
        terminal.wait(r"^mullion: all guests ended: 1 ok, 0 failed")
    finally:
        terminal.end()
