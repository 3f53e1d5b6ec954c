"""scripts/write-usb, with a plain file as the stick and a made-up /sys and /proc beside it."""

import importlib.machinery
import subprocess
import types

import pytest
from vehicle import TOP

IMAGE_SIZE = 5 << 20
DISK_SIZE = 8 << 20


class Machine:
    """A machine with the disk sdz, a removable one of 8 MiB with the partition sdz1."""

    def __init__(self, path):
        self.path = path
        self.disk = path / "sdz"
        self.disk.write_bytes(b"\xaa" * DISK_SIZE)
        self.put("sys/class/block/sdz/dev", "8:400")
        self.put("sys/class/block/sdz/removable", "1")
        self.put("sys/class/block/sdz/ro", "0")
        self.put("sys/class/block/sdz/size", str(DISK_SIZE // 512))
        self.put("sys/class/block/sdz/device/model", "Stick")
        self.put("sys/class/block/sdz/sdz1/partition", "1")
        self.put("sys/class/block/sdz/sdz1/dev", "8:401")
        (path / "sys/class/block/sdz1").symlink_to("sdz/sdz1")
        self.put("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
                 "22 21 0:5 / /proc rw - proc proc rw")
        self.put("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2")
        image = bytearray(b"\x55" * IMAGE_SIZE)
        image[510:512] = b"\x55\xaa"
        image[0x8001:0x8006] = b"CD001"
        self.image = path / "image"
        self.image.write_bytes(image)

    def put(self, name, text):
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="ascii")

    def write(self, *options, device=None):
        return subprocess.run(
            [TOP / "scripts/write-usb", self.image, device or self.disk, "--sys", self.path / "sys",
             "--proc", self.path / "proc", *(options or ["--yes"])],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)

    def refused(self, why, **more):
        result = self.write(**more)
        assert result.returncode == 1
        assert why in result.stderr
        assert self.disk.read_bytes() == b"\xaa" * DISK_SIZE


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_written(machine):
    result = machine.write()
    assert result.returncode == 0, result.stderr
    data = machine.disk.read_bytes()
    assert len(data) == DISK_SIZE
    assert data[:IMAGE_SIZE] == machine.image.read_bytes()
    assert data[IMAGE_SIZE:-(1 << 20)] == b"\xaa" * (2 << 20)
    assert not any(data[-(1 << 20):])  # no second copy of an old partition table
    assert "Everything on" in result.stderr and "Stick" in result.stderr
    assert "writing: 100 %" in result.stderr and "reading back: 100 %" in result.stderr


# What is changed in the made-up /sys or /proc, and what write-usb says of it.
REFUSED = [
    ("fixed", "sys/class/block/sdz/removable", "0", "is not removable"),
    ("mounted", "proc/self/mountinfo", "30 1 8:400 / /mnt rw - ext4 /dev/sdz rw", "mounted on /mnt"),
    ("partition-mounted", "proc/self/mountinfo", "30 1 8:401 / /mnt/a rw shared:1 - vfat /dev/sdz1 rw",
     "/dev/sdz1 is mounted on /mnt/a"),
    ("mounted-by-name", "proc/self/mountinfo", "30 1 0:44 / /mnt rw - btrfs /dev/sdz1 rw", "mounted on"),
    ("swap", "proc/swaps", "Filename Type\n/dev/sdz1 partition 1 0 -2", "swap"),
    ("held", "sys/class/block/sdz/holders/md0/x", "", "md0 uses it"),
    ("partition-held", "sys/class/block/sdz/sdz1/holders/dm-3/x", "", "dm-3 uses it"),
    ("protected", "sys/class/block/sdz/ro", "1", "write-protected"),
    ("small", "sys/class/block/sdz/size", str(IMAGE_SIZE // 512 - 1), "too small"),
    ("no-medium", "sys/class/block/sdz/size", "0", "too small"),
]


@pytest.mark.parametrize("file,content,why", [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(machine, file, content, why):
    machine.put(file, content)
    machine.refused(why)


def test_sd_card_in_a_built_in_reader(machine):
    machine.put("sys/class/block/sdz/removable", "0")
    machine.put("sys/class/block/sdz/device/type", "SD")
    assert machine.write().returncode == 0


def test_partition(machine):
    part = machine.path / "sdz1"
    part.write_bytes(b"")
    machine.refused("is a partition; name the whole disk, /dev/sdz", device=part)


def test_no_disk(machine):
    other = machine.path / "file"
    other.write_bytes(b"")
    machine.refused("is no disk", device=other)
    machine.refused("is no disk", device=machine.path / "absent")


def test_plain_file_without_a_made_up_machine(machine):
    result = subprocess.run([TOP / "scripts/write-usb", machine.image, machine.disk, "--yes"],
                            capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1 and "is no disk" in result.stderr


def test_asks_first(machine):
    result = machine.write("--sys", machine.path / "sys")
    assert result.returncode == 1 and "--yes" in result.stderr
    assert machine.disk.read_bytes() == b"\xaa" * DISK_SIZE


def test_no_image(machine):
    machine.image.write_bytes(bytes(IMAGE_SIZE))
    machine.refused("is no image of scripts/mkimage")


def test_stick_that_loses_bytes(machine):
    """What reads back wrong is told by its place, whatever the writing said."""
    script = str(TOP / "scripts/write-usb")
    tool = types.ModuleType("write_usb")
    importlib.machinery.SourceFileLoader("write_usb", script).exec_module(tool)
    bad = bytearray(machine.image.read_bytes())
    bad[(4 << 20) + 77] ^= 1
    machine.disk.write_bytes(bad)
    with open(machine.image, "rb") as image, open(machine.disk, "rb") as disk:
        with pytest.raises(tool.Refused, match=f"byte {(4 << 20) + 77} reads back wrong"):
            tool.compare(disk.fileno(), image, IMAGE_SIZE)
        with pytest.raises(tool.Refused, match=f"byte {(4 << 20) + 77} "):
            disk.seek(0)
            machine.disk.write_bytes(machine.image.read_bytes()[: (4 << 20) + 77])  # it ends early
            tool.compare(disk.fileno(), image, IMAGE_SIZE)
