#!/usr/bin/env python3
"""Measures what exits cost a guest, in counted instructions, and prints one table.

exits.elf runs without a hypervisor and under Mullion in QEMU (SVM), and under Mullion in Bochs
(VMX); kvm.txt has what KVM takes for the same. In both emulators the TSC counts executed
instructions, so the numbers are exact, repeat, and can be compared with each other. A second table
has the time from the loader's hand-over to the first line on the serial port and to the first
instructions of two tiny guests, by the TSC. Nothing here passes or fails by a number. See
docs/performance.md.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
GUEST = f"{TOP}/build/guests/exits.elf"
# Without QEMU's signature there is no quirk svm-repeat, whose exits no real CPU has (docs/quirks.md).
BENCH_CPU = "EPYC,tcg-cpuid=off"
ICOUNT = ["-icount", "shift=0,sleep=off"]
START_LIMITS_MS = (50, 300)  # first line, first instruction
ROW = re.compile(r"(?:bench\| )?row (.*): (-?\d+)\r*$")
INSTRUCTIONS = 6  # of a round of the compute loop
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"

CONFIG = """\
[system]
console = com1
when-all-stopped = poweroff

[guest bench]
cpus       = 0
memory     = 16M
kernel     = {guest}
cmdline    = "compute={rounds}"
serial     = com1
debug-exit = 0xf4
"""

START_CONFIG = """\
[system]
console = com1
when-all-stopped = poweroff

[guest one]
cpus       = 0
memory     = 4M
kernel     = {guest}
serial     = com1
debug-exit = 0xf4

[guest two]
cpus       = 1
memory     = 4M
kernel     = {guest}
serial     = com1
debug-exit = 0xf4
"""


def rows(path):
    with open(path, encoding="latin-1") as f:
        found = [ROW.match(line) for line in f]
    return {m[1]: int(m[2]) for m in found if m}


def run(command, what, timeout, stderr=None):
    print(f"bench: {what}", file=sys.stderr)
    try:
        return subprocess.run(command, timeout=timeout, check=False, stderr=stderr).returncode
    except subprocess.TimeoutExpired:
        return sys.exit(f"bench: {what}: no end after {timeout} seconds")


def native(work, rounds):
    serial = f"{work}/native"
    run(["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-M", "q35",
         "-accel", "tcg", "-cpu", "EPYC", "-m", "64", "-serial", f"file:{serial}",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", GUEST,
         "-append", f"compute={rounds}", *ICOUNT], "QEMU, no hypervisor", 120,
        subprocess.DEVNULL)
    return rows(serial)


def mullion(work, name, rounds, command):
    config, image, serial = (f"{work}/{name}.{end}" for end in ("conf", "img", "txt"))
    with open(config, "w", encoding="ascii") as f:
        f.write(CONFIG.format(guest=GUEST, rounds=rounds))
    subprocess.run([f"{TOP}/scripts/mkimage", "-c", config, "-o", image, "--timeout", "0"], check=True)
    line = [f"{TOP}/scripts/{command[0]}", image, "--smp", "1", "--memory", "256M", "--serial",
            serial, "--timeout", "120", *command[1:]]
    if run(line, f"Mullion in {name}", 150):
        with open(serial, encoding="latin-1") as f:
            sys.exit(f"bench: {name} failed:\n{f.read()}")
    return rows(serial)


def start(work, name, command):
    """Milliseconds from the hand-over to the first line, and to each guest's first instruction."""
    config, image, serial = (f"{work}/start-{name}.{end}" for end in ("conf", "img", "txt"))
    with open(config, "w", encoding="ascii") as f:
        f.write(START_CONFIG.format(guest=f"{TOP}/build/guests/first.bin"))
    subprocess.run([f"{TOP}/scripts/mkimage", "-c", config, "-o", image, "--timeout", "0",
                    "--cmdline", "times"], check=True)
    run([f"{TOP}/scripts/{command[0]}", image, "--smp", "2", "--memory", "256M", "--serial", serial,
         "--timeout", "60", *command[1:]], f"start in {name}", 90)
    with open(serial, encoding="latin-1") as f:
        text = f.read()
    line = re.search(r"hand-over at TSC (\d+), first line out after (\d+) us", text)
    khz = re.search(r"TSC: (\d+)\.(\d+) MHz", text)
    first = re.findall(r"\| first ([0-9a-f]{16})", text)
    if not line or not khz or len(first) != 2:
        sys.exit(f"bench: start in {name} failed:\n{text}")
    khz = int(khz[1]) * 1000 + int(khz[2])
    return [int(line[2]) / 1000] + sorted((int(x, 16) - int(line[1])) / khz for x in first)


def start_table(qemu, bochs):
    first, guest = START_LIMITS_MS
    lines = ["| from the hand-over, ms | limit | QEMU/SVM | Bochs/VMX |", "|---|---:|---:|---:|"]
    for name, limit, q, b in zip(("first line on the serial port", "first guest's first instruction",
                                  "second guest's first instruction"), (first, guest, guest),
                                 qemu, bochs):
        lines.append(f"| {name} | {limit} | {q:.1f} | {b:.1f} |")
    return "\n".join(lines) + "\n"


def kvm():
    with open(f"{HERE}/kvm.txt", encoding="ascii") as f:
        lines = [line.split("|") for line in f if "|" in line and line[0] != "#"]
    return {row.strip(): (int(svm), int(vmx)) for row, svm, vmx in lines}


def ratio(theirs, ours):
    """KVM's cost in ours; rows that cost neither anything have none."""
    if theirs is None or not ours or max(theirs, ours) < 100:
        return ""
    return f"{theirs / ours:.1f}"


def table(plain, svm, vmx, rounds):
    head = ("operation", "native", "KVM/SVM", "Mullion/SVM", "ratio", "KVM/VMX", "Mullion/VMX",
            "ratio")
    lines = [head]
    baseline = kvm()
    for row in svm:
        if row == "compute":
            continue
        k_svm, k_vmx = baseline.get(row, (None, None))
        cells = (row, plain.get(row), k_svm, svm[row], ratio(k_svm, svm[row]), k_vmx,
                 vmx.get(row), ratio(k_vmx, vmx.get(row)))
        lines.append(tuple("-" if c is None else str(c) for c in cells))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    form = lambda line: "| " + " | ".join(
        c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths))) + " |"
    out = [form(head), "|" + "|".join("-" * (w + 1) + ("-" if i == 0 else ":")
                                      for i, w in enumerate(widths)) + "|"]
    out += [form(line) for line in lines[1:]]
    out.append("")
    for name, got, n, what in (("QEMU", plain, rounds[0], "no hypervisor"),
                               ("QEMU", svm, rounds[0], "Mullion/SVM"),
                               ("Bochs", vmx, rounds[1], "Mullion/VMX")):
        if "compute" in got:
            over = got["compute"] - INSTRUCTIONS * n
            out.append(f"* Computing, {INSTRUCTIONS * n} instructions in {name}, {what}: {over:+d}")
    return "\n".join(out) + "\n"


def record(path, text):
    with open(path, encoding="utf-8") as f:
        before, rest = f.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + text + END + after)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, nargs=2, default=(300000000, 10000000),
                        metavar=("QEMU", "BOCHS"), help="of the compute loop")
    parser.add_argument("--record", metavar="FILE", help="put the table into this document")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mullion-") as work:
        plain = native(work, args.rounds[0])
        svm = mullion(work, "QEMU", args.rounds[0],
                      ["run-qemu", "--cpu", BENCH_CPU, "--", *ICOUNT])
        vmx = mullion(work, "Bochs", args.rounds[1], ["run-bochs", "--ips", "4000000"])
        starts = start_table(start(work, "QEMU", ["run-qemu", "--cpu", "EPYC"]),
                             start(work, "Bochs", ["run-bochs", "--ips", "50000000"]))
    text = table(plain, svm, vmx, args.rounds) + "\n" + starts
    if args.record:
        record(args.record, text)
    print(text, end="")


main()
