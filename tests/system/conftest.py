"""Run from the top of the tree, after `make`.

`--vehicle epyc` runs on one vehicle only. scripts/run-tests runs the tests in three parts, the
first two beside each other: `bochs` takes one core whatever it runs; `rest` has the tests in QEMU
and those without an emulator, and then helps with Bochs's; `alone` has what a second emulator would
disturb. `--claims DIR` is a directory where each process notes a test before it runs it, so that
nobody else does. What came of the machines of test_matrix.py and test_faults.py is printed as tables, or
goes to the file of `--rows`, which matrix.py then prints. `--pictures DIR` keeps pictures of screens.
"""

import hashlib
import json
import os

import matrix
import pytest

PARTS = ("bochs", "rest", "alone")


def pytest_addoption(parser):
    parser.addoption("--vehicle", help="only tests on this vehicle")
    parser.addoption("--pictures", help="a directory to keep pictures of the screen in")
    parser.addoption("--part", choices=PARTS, help="only this part of the tests")
    parser.addoption("--claims", metavar="DIR", help="run no test that is noted here, and note it")
    parser.addoption("--rows", metavar="FILE", help="note the rows of the boot matrix here")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "alone: measures time in QEMU (bochs=True: in Bochs as well), "
        "so no other emulator may run beside it")


def in_bochs(item):
    params = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(getattr(p, "bochs", False) for p in params)


def part(item):
    mark = item.get_closest_marker("alone")
    if mark and (mark.kwargs.get("bochs") or not in_bochs(item)):
        return "alone"
    return "bochs" if in_bochs(item) else "rest"


def pytest_collection_modifyitems(config, items):
    vehicle, wanted = config.getoption("--vehicle"), config.getoption("--part")
    if vehicle:
        items[:] = [i for i in items if hasattr(i, "callspec")
                    and str(i.callspec.params.get("vehicle")) == vehicle]
    if not wanted:
        return
    chosen = [i for i in items if part(i) == wanted]
    if config.getoption("--claims") and wanted != "alone":
        # Long ones first, so that what is left for both at the end is short.
        bochs = sorted((i for i in items if part(i) == "bochs"),
                       key=lambda i: i.path.name != "test_linux.py")
        chosen = bochs if wanted == "bochs" else chosen + bochs[::-1]
    items[:] = chosen


def claim(directory, item):
    try:
        name = hashlib.sha256(item.nodeid.encode()).hexdigest()
        os.close(os.open(os.path.join(directory, name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    claims = session.config.getoption("--claims")
    if not claims or session.testsfailed:
        return None  # pytest's own loop, which also knows what to do when collecting failed
    for item in session.items:
        if claim(claims, item):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return True


def rows(terminalreporter):
    for result in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(result, []):
            for name, value in report.user_properties:
                if name == "machine":
                    yield {**value, "result": "ok" if result == "passed" else "FAILED",
                           "seconds": f"{report.duration:.1f}"}


def pytest_terminal_summary(terminalreporter, config):
    found = list(rows(terminalreporter))
    if found and config.getoption("--rows"):
        with open(config.getoption("--rows"), "a", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in found)
    elif found:
        terminalreporter.section("machines")
        for line in matrix.table(found):
            terminalreporter.write_line(line)
