"""The hypervisor's own promises about its machine."""

import pytest
from vehicle import EPYC, MAX, SKYLAKE, SYSTEM, ZAMBEZI, Vehicle, boot, elf, guest, make_image, run

CONFIG = SYSTEM + guest("basic", "basic64.elf", cmdline="word number=42")


def check_pages(vehicle, path, **options):
    result = boot(vehicle, path, CONFIG, [elf("basic64")], cmdline="check-pages", smp=2, **options)
    result.ended(1, 0)
    leaves, bad = result.expect(r"page tables: (\d+) leaves, (\d+) writable and executable").groups()
    assert int(leaves) > 10
    assert int(bad) == 0


@pytest.mark.parametrize("vehicle", [SKYLAKE, ZAMBEZI, EPYC, MAX], ids=str)
def test_no_page_is_writable_and_executable(tmp_path, vehicle):
    check_pages(vehicle, tmp_path)


def test_no_page_is_writable_and_executable_on_uefi(tmp_path):
    check_pages(EPYC, tmp_path, options=["--uefi"])


# CPUs that cannot run guests: each missing feature is named, not only the first, and why it is needed.
LACKING = [
    ("no-svm", "EPYC,-svm", [r"SVM.*"]),
    ("no-npt", "EPYC,-npt", [r"nested paging.*|NPT.*"]),
    ("no-nx", "EPYC,-nx", [r"NX|execute"]),
]


@pytest.mark.parametrize("name,cpu,words", LACKING, ids=[x[0] for x in LACKING])
def test_missing_feature(tmp_path, name, cpu, words):
    image = make_image(tmp_path, CONFIG, [elf("basic64")])
    result = run(Vehicle(name, "run-qemu", cpu), image, until="|".join(words))
    assert "started on" not in result.text
    for line in words:
        result.expect(line)
