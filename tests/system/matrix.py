"""Machines to boot on: every pair of values of every two axes occurs in a row. Pure.

    matrix.py FILE...    prints the table of the rows that tests noted there (conftest.py, --rows)
"""

import itertools
import json
import sys


def pairs(row):
    """A row is a tuple of values, one for each axis."""
    return {((i, row[i]), (j, row[j])) for i, j in itertools.combinations(range(len(row)), 2)}


def pairwise(axes, allowed, cost):
    """Few rows of the product of `axes` that together have every pair which any allowed row has.

    Greedy: always the row that adds the most pairs for its cost, the first of equal ones; so the
    same axes give the same rows.
    """
    rows = [row for row in itertools.product(*axes) if allowed(row)]
    missing = set().union(*map(pairs, rows))
    chosen = []
    while missing:
        best = max(rows, key=lambda row: len(pairs(row) & missing) / cost(row))
        missing -= pairs(best)
        chosen.append(best)
    return chosen


def table(notes):
    """Lines of a table: `notes` are dicts of columns, all with the same first ones."""
    out = []
    for names, group in itertools.groupby(sorted(notes, key=lambda n: list(n)), key=list):
        lines = [names] + [[str(v) for v in note.values()] for note in group]
        lines[1:] = sorted(lines[1:])
        widths = [max(map(len, column)) for column in zip(*lines)]
        out += ["  ".join(cell.ljust(w) for cell, w in zip(line, widths)).rstrip() for line in lines]
        out.append("")
    return out


def main():
    notes = []
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            notes += [json.loads(line) for line in f]
    print("\n".join(table(notes)), end="")


if __name__ == "__main__":
    main()
