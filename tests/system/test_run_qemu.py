"""Which machine scripts/run-qemu makes: the host's KVM where it can run a hypervisor."""

import importlib.machinery
import importlib.util
import sys

import pytest
from vehicle import TOP


@pytest.fixture
def script(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(TOP / "scripts"), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("run_qemu", str(TOP / "scripts/run-qemu"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_qemu", loader))
    loader.exec_module(module)
    return module


def host(path, flags, module, nested, kvm=True):
    (path / "proc").mkdir()
    (path / "proc/cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags} sse\n", encoding="ascii")
    parameters = path / f"sys/module/{module}/parameters"
    parameters.mkdir(parents=True)
    (parameters / "nested").write_text(nested + "\n", encoding="ascii")
    if kvm:
        (path / "dev").mkdir()
        (path / "dev/kvm").write_text("", encoding="ascii")
    return str(path)


@pytest.mark.parametrize("flags,module,nested,kvm,expected", [
    ("vmx", "kvm_intel", "Y", True, True),
    ("svm", "kvm_amd", "1", True, True),
    ("vmx", "kvm_intel", "N", True, False),
    ("vmx", "kvm_amd", "1", True, False),  # the module of the other vendor
    ("ept", "kvm_intel", "Y", True, False),
    ("svm", "kvm_amd", "1", False, False),
])
def test_nested_kvm(tmp_path, script, flags, module, nested, kvm, expected):
    assert script.nested_kvm(host(tmp_path, flags, module, nested, kvm)) is expected


def line(script, monkeypatch, nested, *words):
    monkeypatch.setattr(script, "nested_kvm", lambda: nested)
    monkeypatch.setattr(sys, "argv", ["run-qemu", "x.img", *words])
    return " ".join(str(word) for word in script.command(script.arguments(), "/tmp", "s"))


def test_machine(script, monkeypatch):
    assert "-M q35,kernel-irqchip=on -accel kvm -cpu host" in line(script, monkeypatch, True)
    assert "-M q35,kernel-irqchip=split -accel kvm" in line(
        script, monkeypatch, True, "--", "-device", "intel-iommu")
    assert "-M q35 -accel tcg -cpu EPYC" in line(script, monkeypatch, False)
    # A model that was asked for is emulated.
    assert "-accel tcg -cpu max" in line(script, monkeypatch, True, "--cpu", "max")
