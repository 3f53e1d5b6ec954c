"""One image, every way to boot it."""

import pytest
from vehicle import EPYC, SKYLAKE, SYSTEM, TOP, elf, guest, make_image, run

CONFIG = SYSTEM + guest("basic64", "basic64.elf", cmdline="word number=42")
WAYS = [
    (EPYC, ["--uefi"]),
    (EPYC, ["--uefi", "--usb"]),
    (EPYC, ["--usb"]),
    (SKYLAKE, ["--disk"]),
]


@pytest.mark.parametrize("vehicle,options", WAYS, ids=[" ".join([str(w[0])] + w[1]) for w in WAYS])
def test_medium(tmp_path, vehicle, options):
    result = run(vehicle, make_image(tmp_path, CONFIG, [elf("basic64")]), options=options)
    assert "PASS basic64" in result.guest("basic64")
    result.ended(1, 0)


def test_reproducible(tmp_path):
    images = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        images.append(make_image(tmp_path / name, CONFIG, [elf("basic64")]).read_bytes())
    assert images[0] == images[1]
