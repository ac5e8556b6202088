"""Tables and figures of the results: ``python -m benchmarks.report``.

The tables go to ``benchmarks/results/README.md`` and into ``benchmarks/README.md``,
between markers such as ``<!-- benchmarks:iterations -->`` and
``<!-- /benchmarks:iterations -->``; never those of a quick run. From that page come the
short tables of the project's README and the summary (see `benchmarks.summary`).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from .anchors_tables import ANCHORS_TABLES
from .atoms_tables import ATOMS_TABLES
from .bootstrap_tables import BOOTSTRAP_TABLES
from .cases import GROUPS
from .classifier_tables import CLASSIFIER_TABLES
from .comparisons import COMPARISONS
from .cost_tables import COST_TABLES
from .defaults_tables import DEFAULTS_TABLES
from .device_tables import DEVICE_TABLES
from .missing_tables import MISSING_TABLES
from .noise_tables import NOISE_TABLES
from .outliers_tables import OUTLIERS_TABLES
from .scale_tables import SCALE_TABLES
from .search_tables import SEARCH_TABLES
from .stepwise_tables import STEPWISE_TABLES
from .summary import short_tables
from .tables import TABLES, problem_of

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
OTHERS = COMPARISONS | ANCHORS_TABLES | ATOMS_TABLES | MISSING_TABLES
OTHERS |= STEPWISE_TABLES | COST_TABLES | SEARCH_TABLES | DEFAULTS_TABLES
OTHERS |= CLASSIFIER_TABLES | OUTLIERS_TABLES | NOISE_TABLES | BOOTSTRAP_TABLES
OTHERS |= DEVICE_TABLES
COMPARED = {group for group, _ in OTHERS.values()}  # whose tables have no times
LONG = ROOT / "benchmarks" / "README.md"  # the page with all tables
SHORT = ROOT / "README.md"
ALONE = ("device",)  # groups that a module of their own measures and writes
FIGURE = ROOT / ".github" / "scaling.png"


def load(group):
    path = RESULTS / f"{group}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def failures(report):
    """Lines on the cases that failed."""
    return "".join(
        f"\n\nFailed: {one['case']}: {problem_of(one)}"
        for one in report["results"]
        if problem_of(one)
    )


def conditions(report):
    """A line on the machine, and whether the run was a quick one."""
    machine, versions = report["machine"], report["versions"]
    shown = [f"{name} {versions[name]}" for name in ("emgmm", "numpy", "scikit-learn")]
    blas = {f"{one['internal_api']} {one['version']}" for one in machine["blas"]}
    line = f"{machine['processor']}, {machine['cpus']} cores, {machine['system']}; "
    line += ", ".join([f"Python {versions['python']}", *shown, *sorted(blas)]) + "."
    quick = " A quick run: few repeats, smaller problems." if report["quick"] else ""
    spread = "" if report["group"] in COMPARED else " Times are medians (least-most)."
    return f"{line}{spread}{quick}"


def tables(groups=(*GROUPS, *ALONE), quick=True):
    """Markdown of every table whose results are there; of quick runs only if asked."""
    found = {}
    for name, (group, table) in {**TABLES, **SCALE_TABLES, **OTHERS}.items():
        report = load(group) if group in groups else None
        if report is not None and (quick or not report["quick"]):
            text = table(report) + failures(report)
            found[name] = f"{text}\n\n{conditions(report)}"
    return found


def replace_marked(path, found):
    """Put each table between its markers in the file, where it has them."""
    text = before = path.read_text(encoding="utf-8")
    for name, table in found.items():
        begin, end = f"<!-- benchmarks:{name} -->", f"<!-- /benchmarks:{name} -->"
        pattern = re.escape(begin) + ".*?" + re.escape(end)
        new = f"{begin}\n{table}\n{end}"
        text = re.sub(pattern, lambda _, new=new: new, text, flags=re.DOTALL)
    if text != before:
        path.write_text(text, encoding="utf-8")


def printed(found):
    """Tables one after the other, each under its name."""
    return "\n".join(f"## {name}\n\n{table}\n" for name, table in found.items())


def write_pages():
    """Put the tables of full runs into the pages, and the short ones made of them."""
    replace_marked(LONG, tables(quick=False))
    short = short_tables(LONG.read_text(encoding="utf-8"))
    for page in (LONG, SHORT):
        replace_marked(page, short)


def main():
    from .figures import draw_scaling

    RESULTS.mkdir(exist_ok=True)
    text = "# Results\n\n" + printed(tables())
    (RESULTS / "README.md").write_text(text, encoding="utf-8")
    write_pages()
    scaling = load("scaling")
    if scaling is not None:
        draw_scaling(scaling, RESULTS / "scaling.png")
        if not scaling["quick"]:
            draw_scaling(scaling, FIGURE)
    missing = [group for group in GROUPS if load(group) is None]
    print(text + (f"\nNo results yet of: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main()
