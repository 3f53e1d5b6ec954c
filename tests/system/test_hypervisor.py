"""The hypervisor's own promises about its machine."""

import pytest
from vehicle import EPYC, MAX, SKYLAKE, SYSTEM, ZAMBEZI, boot, elf, guest


def check_pages(vehicle, path, **options):
    config = SYSTEM + guest("basic", "basic64.elf", cmdline="word number=42")
    result = boot(vehicle, path, config, [elf("basic64")], cmdline="check-pages", smp=2, **options)
    result.ended(1, 0)
    leaves, bad = result.expect(r"page tables: (\d+) leaves, (\d+) writable and executable").groups()
    assert int(leaves) > 10
    assert int(bad) == 0


@pytest.mark.parametrize("vehicle", [SKYLAKE, ZAMBEZI, EPYC, MAX], ids=str)
def test_no_page_is_writable_and_executable(tmp_path, vehicle):
    check_pages(vehicle, tmp_path)


def test_no_page_is_writable_and_executable_on_uefi(tmp_path):
    check_pages(EPYC, tmp_path, options=["--uefi"])
