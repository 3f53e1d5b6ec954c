"""Run from the top of the tree, after `make`; `--vehicle epyc` runs on one vehicle only."""


def pytest_addoption(parser):
    parser.addoption("--vehicle", help="only tests on this vehicle")
    parser.addoption("--pictures", help="a directory to keep pictures of the screen in")


def pytest_collection_modifyitems(config, items):
    wanted = config.getoption("--vehicle")
    if wanted:
        items[:] = [i for i in items if hasattr(i, "callspec")
                    and str(i.callspec.params.get("vehicle")) == wanted]
