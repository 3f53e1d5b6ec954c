"""The command mullion-config: its verbs, its exit status, and that docs/config.md is up to date."""
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build" / "mullion-config"

GUEST = "[guest a]\ncpus = 0-1\nmemory = 16M\nkernel = k.elf\n"


def run(*args, cwd=None, stdin=b""):
    done = subprocess.run([TOOL, *args], cwd=cwd, input=stdin, capture_output=True, timeout=20)
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


@pytest.fixture
def conf(tmp_path):
    """Writes a configuration and the files in `names` beside it; returns check's result."""

    def check(text, *args, names=("k.elf",), verb="check"):
        for name in names:
            (tmp_path / name).write_bytes(b"\x7fELF")
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "a.conf").write_bytes(data)
        return run(verb, "a.conf", *args, cwd=tmp_path)

    return check


def test_accepts_silently(conf):
    assert conf(GUEST) == (0, "", "")


def test_refuses_with_place_and_status_1(conf):
    assert conf(GUEST + "memroy = 1M\n") == (
        1, "", "a.conf:5:1: error: unknown key 'memroy'; did you mean 'memory'?\n")


def test_machine_given_on_the_command_line(conf):
    assert conf(GUEST, "--cpus", "2", "--memory", "16M") == (0, "", "")
    assert conf(GUEST, "--cpus", "1") == (
        1, "", "a.conf:2:8: error: guest 'a': CPU 1 does not exist; the given machine has 1, "
        "numbered from 0\n")
    assert conf(GUEST, "--memory", "8M") == (
        1, "", "a.conf:3:10: error: guest 'a' wants 16M, but 8M of the given machine are left; "
        "make guests smaller\n")


def test_files_that_are_not_there(conf, tmp_path):
    warning = "a.conf: warning: file 'k.elf' is not there yet\n"
    assert conf(GUEST, names=()) == (0, "", warning)
    assert conf(GUEST, "--files", names=()) == (
        1, "", "a.conf:4:10: error: file 'k.elf' is not there; put it beside the configuration\n")
    assert conf(GUEST, "--files") == (0, "", "")
    # Relative to the configuration, not to the directory that one stands in.
    assert run("check", "--files", tmp_path / "a.conf") == (0, "", "")


def test_files_that_do_not_fit(conf, tmp_path):
    with open(tmp_path / "big", "wb") as big:
        big.truncate(16 << 20)
    status, _, err = conf(GUEST + "initrd = big\n")
    assert (status, err) == (
        1, "a.conf:5:10: error: file 'big' of 16M does not fit into the guest's memory of 16M; "
        "raise memory on line 3\n")


def test_binary_garbage_and_a_long_line(conf):
    assert conf(b"\x7fELF\x02\x01\0\0") == (
        1, "", "a.conf:1:1: error: byte \\x7f is not text; write plain UTF-8\n")
    assert conf(b"#" * (1 << 20)) == (
        1, "", "a.conf:1:8193: error: the line is too long; at most 8192 bytes\n")
    assert conf(b"") == (
        1, "", "a.conf:1:1: error: there is no guest; add a section [guest NAME]\n")


def test_large_files_are_quick(conf):
    text = GUEST + "# comment\n" * 1000000
    assert conf(text) == (0, "", "")


def test_dump_is_stable(conf):
    status, first, err = conf(GUEST, verb="dump")
    assert (status, err) == (0, "")
    assert first.startswith("[system]\nconsole = 0x3f8,framebuffer\n")
    assert "\n[guest a]\ncpus = 0,1\nmemory = 16M\nkernel = k.elf\n" in first
    assert conf(first, verb="dump") == (0, first, "")


def test_files_lists_each_once(conf):
    text = GUEST + "initrd = x/i\nmodule = m one\nmodule = m two\n"
    text += "[guest b]\ncpus = 2\nmemory = 1M\nkernel = k.elf\nmodule = n\n"
    assert conf(text, verb="files") == (0, "k.elf\nx/i\nm\nn\n", "")


def test_standard_input():
    assert run("dump", "-", stdin=b"[gest a]\n") == (
        1, "", "-:1:2: error: unknown section 'gest'; did you mean 'guest'?\n")


def test_wrong_usage():
    for args in ([], ["what"], ["check"], ["dump"], ["check", "a", "b"], ["check", "a", "--cpus"],
                 ["check", "a", "--memory", "much"], ["check", "a", "--memory", "1Q"],
                 ["check", "a", "--cpus", "0"], ["check", "--colour", "a"]):
        status, out, err = run(*args)
        assert (status, out) == (2, "")
        assert "usage: mullion-config check" in err
    status, _, err = run("check", "/nowhere/a.conf")
    assert (status, err) == (2, "mullion-config: /nowhere/a.conf: No such file or directory\n")
    assert run("--help")[0] == 0


def test_reference_is_up_to_date():
    """If this fails: make docs/config.md"""
    assert run("reference") == (0, (ROOT / "docs" / "config.md").read_text(), "")


@pytest.mark.parametrize("example", sorted((ROOT / "guests").glob("*.conf")), ids=lambda p: p.name)
def test_examples_are_right(example):
    status, _, err = run("check", example)
    assert status == 0, err
    assert "error" not in err


def test_configuration_in_place_of_another(tmp_path):
    """[boot] config: the named file is what is checked, its files are found beside it."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.conf").write_text("[boot]\nconfig = sub/safe.conf\n", encoding="utf-8")
    safe = tmp_path / "sub/safe.conf"
    safe.write_text(GUEST, encoding="utf-8")
    (tmp_path / "sub/k.elf").write_bytes(b"\x7fELF")
    assert run("check", "--files", "a.conf", cwd=tmp_path) == (0, "", "")
    assert run("check", "--files", tmp_path / "a.conf") == (0, "", "")
    assert run("files", "a.conf", cwd=tmp_path) == (0, "sub/safe.conf\nsub/k.elf\n", "")
    safe.write_text(GUEST + "memroy = 1M\n", encoding="utf-8")
    assert run("check", "a.conf", cwd=tmp_path) == (
        1, "", "sub/safe.conf:5:1: error: unknown key 'memroy'; did you mean 'memory'?\n")
    safe.write_text("[boot]\nconfig = safe.conf\n", encoding="utf-8")
    assert run("check", "a.conf", cwd=tmp_path) == (
        1, "", "sub/safe.conf:2:10: error: 'config' was followed already, from a.conf:2:10; name "
        "the last one there\n")
    safe.unlink()
    assert run("files", "a.conf", cwd=tmp_path)[0] == 2
