"""The tables of searches, restarts and small fits, beside the checkout of before."""

from __future__ import annotations

import math

from .checkouts import BEFORE
from .comparisons import mixture
from .restarts import SKLEARN
from .tables import case_of, done, markdown, number

SEARCH_NOTE = (
    "\n\nProcessor seconds of one thread, medians (least-most) of runs in turn; of"
    " breast cancer seconds of two threads. mclust selects among the same candidates as"
    " emgmm, scikit-learn among its four models."
)
CLOCKS = {
    "cpu": "processor seconds, one thread",
    "wall": "seconds, as many threads as there are cores",
}


def search_table(report):
    """A row to a way of selecting."""
    header = ["rows", "n", "d", "way", "fits", "seconds", "emgmm's / its"]
    lines = [
        [one["case"]["data"], one["n"], one["d"], *cells]
        for one in done(report)
        for cells in ways_of(one)
    ]
    return markdown([*header, "selected: BIC"], lines) + SEARCH_NOTE + absent(report)


def ways_of(one):
    ours = one["seconds"]["emgmm"]["median"]
    for way, seconds in one["seconds"].items():
        found = one["found"][way]
        yield [
            way,
            found.get("fits", one["found"]["emgmm"]["fits"]),
            spread(seconds),
            number(ours / seconds["median"]),
            mixture(found),
        ]


def spread(seconds, scale=1.0):
    """Median and, in brackets, least and most."""
    median, *ends = (number(scale * seconds[k]) for k in ("median", "least", "most"))
    return f"{median} ({'-'.join(ends)})"


def absent(report):
    """What was not measured, and why."""
    lines = {
        f"{one['case']['data']}, {way}: {why}"
        for one in done(report)
        for way, why in one["failed"].items()
    }
    return "".join(f"\n\nNot measured: {line}." for line in sorted(lines))


def passes_table(report):
    """An iteration of this checkout beside one of before."""
    header = ["n", "d", "K", "model", "emgmm: ms", "before: ms", "of before's"]
    lines = []
    for one in done(report):
        seconds, scores = one["seconds"], one["log_likelihood"]
        before = seconds.get(BEFORE)
        difference = scores["emgmm"] - scores[BEFORE] if before else None
        lines.append(
            [
                *case_of(one, "model"),
                spread(seconds["emgmm"], 1e3),
                spread(before, 1e3) if before else "-",
                number(ratio_of_seconds(one, BEFORE)),
                f"{difference:.0e}" if before else "-",
            ]
        )
    note = "Processor milliseconds of one thread."
    return markdown([*header, "score - before's"], lines) + f"\n\n{note}"


def searchmap_table(report):
    """The search on a memory map, and its slowest candidate alone."""
    header = "n,d,K up to,fits,seconds,processor seconds,megabytes,at most".split(",")
    header += ["slowest candidate", "its seconds alone", "ratio"]
    lines = []
    for one in done(report):
        case, whole, alone = one["case"], one["search"], one["alone"]
        lines.append(
            [
                f"{case['n']:,}",
                case["d"],
                case["K"],
                whole["fits"],
                *(number(whole[name]) for name in ("wall", "cpu", "megabytes")),
                case["floor"],
                " ".join(map(str, whole["slowest"])),
                number(alone["wall"]),
                number(whole["wall"] / alone["wall"]),
            ]
        )
    return markdown(header, lines)


def restarts_table(report):
    """Fits from one start and from many, each with its ratio."""
    header = ["rows", "K", "start", "checkout", "one start: ms", "many", "their ms"]
    header += ["ratio", "at most", "scikit-learn's one: ms"]
    lines = []
    for one in done_with(report, "emgmm, n_init=1"):
        case, seconds = one["case"], one["seconds"]
        scale, many = 1e3 / case["seeds"], case["n_init"]
        for name in ("emgmm", BEFORE):
            if f"{name}, n_init={many}" in seconds:
                short, long = (seconds[f"{name}, n_init={k}"] for k in (1, many))
                lines.append(
                    [
                        *(case[key] for key in ("data", "K", "init")),
                        name,
                        spread(short, scale),
                        many,
                        spread(long, scale),
                        number(long["median"] / short["median"]),
                        number(case["most"]),
                        spread(seconds[SKLEARN], scale),
                    ]
                )
    return markdown(header, lines) + "\n\nProcessor milliseconds, one thread."


def smallfits_table(report):
    """Default fits beside those of before and scikit-learn's: means of ratios."""
    header = [
        "rows",
        "problems",
        "time",
        "emgmm: ms",
        "of before's",
        "of scikit-learn's",
    ]
    lines = [
        smallfits_row(one["case"], list(one.get("problems", {"": one}).values()))
        for one in done_with(report, "emgmm")
    ]
    note = "Geometric means over the problems."
    return markdown([*header, "least gain on before's"], lines) + f"\n\n{note}"


def smallfits_row(case, problems):
    milliseconds, *ratios = (
        geometric_mean([ratio_of_seconds(one, other) for one in problems])
        for other in (None, BEFORE, SKLEARN)
    )
    gains = [gain for one in problems for gain in gains_of(one)]
    return [
        case["data"] + (f" from {case['init']}" if "init" in case else ""),
        len(problems),
        CLOCKS[case["clock"]],
        number(1e3 * milliseconds / case["seeds"]),
        *map(number, ratios),
        f"{min(gains):.1e} nats a row" if gains else "-",
    ]


def ratio_of_seconds(one, other):
    """emgmm's median to another's, or in seconds; None where there is no other."""
    seconds = one["seconds"]
    if other is not None and other not in seconds:
        return None
    return seconds["emgmm"]["median"] / (seconds[other]["median"] if other else 1.0)


def geometric_mean(values):
    """None where a value is missing."""
    if None in values:
        return None
    return math.exp(sum(map(math.log, values)) / len(values))


def gains_of(one):
    """Differences of log-likelihoods of a row from those of before."""
    found = one["found"]
    if BEFORE not in found:
        return []
    pairs = (found[name]["log_likelihoods"] for name in ("emgmm", BEFORE))
    return [ours - theirs for ours, theirs in zip(*pairs, strict=True)]


def done_with(report, way):
    """Results in which this way was measured in all problems."""
    return [
        one
        for one in done(report)
        if all(
            way in each["seconds"] for each in one.get("problems", {"": one}).values()
        )
    ]


SEARCH_TABLES = {
    "passes": ("passes", passes_table),
    "search": ("search", search_table),
    "searchmap": ("searchmap", searchmap_table),
    "restarts": ("restarts", restarts_table),
    "smallfits": ("smallfits", smallfits_table),
}
