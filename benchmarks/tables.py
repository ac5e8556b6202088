"""The tables: markdown of each group's results."""

from __future__ import annotations

from .cases import IMPORT_SECONDS
from .figures import slope

SKLEARN = ("scikit-learn", "scikit-learn, one thread")


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def number(value, digits=3):
    """To some significant digits, without an exponent; a dash for nothing."""
    if value is None:
        return "-"
    text = f"{value:.{digits}g}"
    return f"{float(text):.0f}" if "e+" in text else text


KEYS = ("median", "least", "most")


def milliseconds(result, name):
    """Median and, in brackets, least and most."""
    times = result.get("seconds", {}).get(name)
    if times is None:
        return "-"
    median, least, most = (number(1e3 * times[key]) for key in KEYS)
    return f"{median} ({least}-{most})"


def median(result, *names):
    """The least of the medians of some libraries; None where there is none."""
    times = result.get("seconds", {})
    medians = [times[name]["median"] for name in names if name in times]
    return min(medians, default=None)


def ratio(result):
    """Of scikit-learn's time, at the better of its settings, to emgmm's."""
    ours, theirs = median(result, "emgmm"), median(result, *SKLEARN)
    return theirs / ours if ours and theirs else None


def better(result):
    """The better of scikit-learn's settings."""
    have = [name for name in SKLEARN if median(result, name)]
    return min(have, key=lambda name: median(result, name), default=SKLEARN[0])


def case_of(result, *keys):
    return [f"{result['case'][key]:,}" for key in "ndK"] + [
        result["case"][key] for key in keys
    ]


def iterations_table(report):
    header = "n,d,K,model,emgmm ms,scikit-learn ms,ratio,floor,of the limit".split(",")
    header += ["float32 faster by", "scikit-learn's score - emgmm's", "float32's"]
    return markdown(header, [iterations_row(one) for one in done(report)])


def iterations_row(one):
    scores, theirs = one["log_likelihood"], better(one)
    ours, float32 = scores["emgmm"], scores.get("emgmm, float32")
    fast = median(one, "emgmm, float32")
    return [
        *case_of(one, "model"),
        milliseconds(one, "emgmm"),
        milliseconds(one, theirs),
        number(ratio(one)),
        number(one["case"]["floor"]),
        f"{one['limit']['seconds'] / median(one, 'emgmm'):.0%}",
        number(median(one, "emgmm") / fast if fast else None),
        f"{scores[theirs] - ours:.0e}" if theirs in scores else "-",
        "-" if float32 is None else f"{abs(float32 / ours - 1):.0e} relative",
    ]


def peers_table(report):
    """Other libraries, each beside emgmm in a process of the two."""
    header = "n,d,K,model,library,its ms,emgmm ms,ratio,its score - emgmm's".split(",")
    rows = [
        [*case_of(one, "model"), name, *peer_cells(other, name, 1e3)]
        for one in done(report)
        for name, other in one.get("others", {}).items()
    ]
    return markdown(header, rows) + remarks(report)


def peer_cells(result, name, scale):
    problem = result.get("error") or result.get("failed", {}).get(name)
    if problem:
        return [problem, "-", "-", "-"]
    theirs, ours = median(result, name), median(result, "emgmm")
    scores = result["log_likelihood"]
    times = [number(scale * t if t else None) for t in (theirs, ours)]
    both = theirs and ours
    difference = f"{scores[name] - scores['emgmm']:.0e}"
    return [*times, number(theirs / ours if both else None), difference]


def remarks(report):
    notes = [f"{name}: {note}." for name, note in report["notes"].items()]
    versions = report["versions"]
    absent = [name for name, version in versions.items() if version == "absent"]
    notes += [f"Not installed: {', '.join(absent)}."] if absent else []
    return "\n\n" + " ".join(notes)


def quality_table(report):
    header = "n,d,K,spread,library,iterations,seconds,emgmm seconds,ratio".split(",")
    header.append("score - best known")
    rows = []
    for one in done(report):
        sources = [(one, name) for name in one["iterations"]]
        others = one.get("others", {})
        sources += [(other, name) for name, other in others.items()]
        rows += [quality_row(one, source, name) for source, name in sources]
    gains = [one["last_gain"] for one in done(report)]
    flat = f"The long runs' last 50 iterations gained {number(max(gains))} at most."
    return f"{markdown(header, rows)}\n\n{flat}{remarks(report)}"


def quality_row(one, source, name):
    cells = [*case_of(one, "spread"), name]
    problem = source.get("error") or source.get("failed", {}).get(name)
    if problem:
        return [*cells, problem, "-", "-", "-", "-"]
    settings = SKLEARN if name == "scikit-learn" else (name,)
    theirs, ours = median(source, *settings), median(source, "emgmm")
    return [
        *cells,
        source["iterations"][name] or "not reached",
        number(theirs),
        number(ours),
        number(theirs / ours if theirs and ours else None),
        f"{source['log_likelihood'][name] - one['best_known']:.0e}",
    ]


def predict_table(report):
    header = "n,d,K,method,emgmm ms,scikit-learn ms,ratio,floor".split(",")
    header += ["emgmm MB added", "scikit-learn MB added"]
    rows = [
        [
            *case_of(one, "method"),
            milliseconds(one, "emgmm"),
            milliseconds(one, better(one)),
            number(ratio(one)),
            number(one["case"]["floor"]),
            measured(one["megabytes"]["emgmm"]),
            measured(one["megabytes"][better(one)]),
        ]
        for one in done(report)
    ]
    return markdown(header, rows)


def measured(value):
    return "not measured" if value is None else f"{max(value, 0):.0f}"


def small_table(report):
    rows = []
    for one in done(report):
        if one["case"]["what"] == "fit":
            started = one["threads_started"]["emgmm"]
            default, single = (
                number(median(one, name) / median(one, "emgmm")) for name in SKLEARN
            )
            found = (
                f"scikit-learn takes {default} times as long; {single} in one thread"
            )
            more = f"threads started: {started['python']}, all: {started['all']}"
            floor = f"at least {one['case']['floor']:g}"
        else:
            found, floor = "after `sklearn.mixture`", f"at most {IMPORT_SECONDS:g} s"
            more = "also imported: " + (", ".join(one["imported"]) or "neither of two")
        fit = {
            "split": "default fit of iris",
            "kmeans": 'fit of iris from k-means (`init_params="kmeans"`)',
        }
        what = fit.get(one["case"].get("start"), "import")
        rows.append([what, milliseconds(one, "emgmm"), found, floor, more])
    return markdown(["what", "emgmm ms", "found", "asked", "and"], rows)


def memory_table(report):
    header = ["library", "model", "n", "MB added", "at most"]
    rows = [
        [
            one["case"]["library"],
            one["case"]["model"],
            f"{one['case']['n']:,}",
            measured(one["megabytes"]),
            one["case"]["floor"] if one["case"]["library"] == "emgmm" else "",
        ]
        for one in done(report)
    ]
    return markdown(header, rows)


def scaling_table(report):
    header = "along,n,d,K,emgmm ms,scikit-learn ms,ratio,of the limit".split(",")
    rows = [
        [
            one["case"]["axis"],
            *case_of(one),
            milliseconds(one, "emgmm"),
            milliseconds(one, better(one)),
            number(ratio(one)),
            f"{one['limit']['seconds'] / median(one, 'emgmm'):.0%}",
        ]
        for one in done(report)
    ]
    found = number(slope(done(report), "n", "emgmm"))
    return markdown(header, rows) + f"\n\nSlope at the largest n (log-log): {found}."


def oversubscription_table(report):
    header = "library,jobs,wall s,CPU s,most threads at once,mean,cores".split(",")
    rows = [
        [
            one["case"]["library"],
            one["case"]["backend"],
            number(one["wall"]),
            number(one["cpu"]),
            one["threads"].get("most", "not measured"),
            number(one["threads"].get("mean")),
            one["cores"],
        ]
        for one in done(report)
    ]
    return markdown(header, rows)


def workers_table(report):
    header = ["workers", "n", "chunks", "pass ms", "of which Dask's", "in memory ms"]
    header += ["in one thread", "kB moved by a pass", "of which Dask's", "kB of rows"]
    rows = [
        [
            one["case"]["workers"],
            f"{one['case']['n']:,}",
            one["case"]["chunks"],
            milliseconds(one, "emgmm"),
            number(1e3 * median(one, "nothing")),
            milliseconds(one, "in memory"),
            number(1e3 * median(one, "in memory, one thread")),
            kilobytes(one["bytes"]["emgmm"]),
            number(one["bytes"]["nothing"]["median"] / 1e3),
            f"{8 * one['case']['n'] * one['case']['d'] / 1e3:,.0f}",
        ]
        for one in done(report)
    ]
    return markdown(header, rows)


def kilobytes(moved):
    median, least, most = (number(moved[key] / 1e3) for key in KEYS)
    return f"{median} ({least}-{most})"


TABLES = {
    "iterations": ("iterations", iterations_table),
    "peers": ("iterations", peers_table),
    "quality": ("quality", quality_table),
    "predict": ("predict", predict_table),
    "small": ("small", small_table),
    "memory": ("memory", memory_table),
    "scaling": ("scaling", scaling_table),
    "oversubscription": ("oversubscription", oversubscription_table),
    "workers": ("workers", workers_table),
}


def problem_of(one):
    """Why a case has no row of its own; None if it has one."""
    return one.get("error") or one.get("failed", {}).get("emgmm")


def done(report):
    return [one for one in report["results"] if problem_of(one) is None]
