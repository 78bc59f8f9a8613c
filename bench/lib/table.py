"""The table that a run prints: what was measured, its value, its target, and whether it is met."""

import statistics
import sys


def say(text):
    print(f"==> {text}", file=sys.stderr, flush=True)


def spread(values):
    """Median with the least and the largest: on a shared machine one number says little."""
    if len(values) == 1:
        return f"{values[0]:.2f}" if values[0] < 1000 else f"{values[0]:.0f}"
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


class Table:
    def __init__(self):
        self.rows = []

    def heading(self, text):
        self.rows.append((text, None, None, None))

    def add(self, what, value, target="", met=None):
        mark = "" if met is None else "yes" if met else "NO"
        self.rows.append((what, value, target, mark))
        say(f"{what}: {value}" + (f" (target {target}{'' if met is None else ', met' if met else ', MISSED'})"
                                  if target else ""))

    def at_least(self, what, values, target, unit="×"):
        met = statistics.median(values) >= target
        self.add(what, spread(values) + unit, f"≥ {target}{unit}", met)

    def at_most(self, what, values, target, unit=""):
        met = statistics.median(values) <= target
        self.add(what, spread(values) + unit, f"≤ {target}{unit}", met)

    def text(self):
        plain = [row for row in self.rows if row[1] is not None]
        widths = [max([len(str(row[i])) for row in plain] + [len(name)])
                  for i, name in enumerate(("measured", "value", "target", "met"))]
        line = "  ".join
        out = [line(text.ljust(width) for text, width in zip(("measured", "value", "target", "met"), widths)).rstrip()]
        for row in self.rows:
            if row[1] is None:
                out += ["", row[0]]
            else:
                out.append(line(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
        return "\n".join(out)
