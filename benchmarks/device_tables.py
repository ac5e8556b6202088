"""The tables of rows on a device: its rates, iterations, whole fits.

An iteration counts as the multiplications and additions of two matrix products, of the
quadratic features of the rows (f of them) with coefficients and with responsibilities:
4 n K f operations, for every library, whatever it does. Bytes are counted for emgmm
alone: the rows are read, features written once and read twice, and arrays of K numbers
a row written or read seven times (joint log-density, exponential, sum, responsibility,
product): n (d + 3 f + 7 K) numbers. The bound is the longer of the two times at the
device's own rates.
"""

from __future__ import annotations

from .tables import markdown, milliseconds, number

ITEMSIZE = {"float64": 8, "float32": 4}
OURS = ("emgmm", "emgmm, NumPy")


def rates_of(report):
    """Operations a second by type, and bytes a second; empty where not measured."""
    found = [one for one in report["results"] if one["what"] == "rates"]
    return found[0] if found and "error" not in found[0] else {"operations": {}}


def amounts(one):
    """Operations and bytes of an iteration."""
    from .cost import terms  # it imports SciPy

    size, dtype = one["case"], one["dtype"]
    n, d, K = size["n"], size["d"], size["K"]
    multiply_adds, features, *_ = terms(size["model"], d, K)
    numbers = d + 3 * features + 7 * K
    return 2 * n * float(multiply_adds), n * float(numbers) * ITEMSIZE[dtype]


def rates_table(report):
    rates, device = rates_of(report), report["device"]
    header = ["device", "product in", "10^9 operations a second", "copy, GB a second"]
    name = device.get("name", report["machine"]["processor"])
    kernels = device["kernels"] or "those that emgmm chooses"
    lines = [
        [f"{device['device']}: {name}", dtype, number(rate / 1e9), copy]
        for copy in [number(rates.get("bytes", 0) / 1e9)]
        for dtype, rate in rates["operations"].items()
    ]
    about = f"PyTorch {device['torch']}; kernels of rows in host memory: {kernels}."
    return f"{markdown(header, lines)}\n\n{about}{reasons(report, 'rates')}"


def share(value, of):
    return f"{value / of:.0%}" if value and of else "-"


def iterations_table(report):
    header = ["n", "d", "K", "model", "type", "library", "ms of an iteration"]
    header += ["10^9 operations a second", "of the device's", "bytes, of the copy's"]
    header += ["bound / time", "MB added", "MB of n x K"]
    header += ["parameters", "log-likelihood"]
    lines, rates = [], rates_of(report)
    for one in results_of(report, "iterations"):
        lines += [iteration_row(one, name, rates) for name in one["seconds"]]
    return markdown(header, lines) + reasons(report, "iterations")


def iteration_row(one, name, rates):
    size, dtype = one["case"], one["dtype"]
    taken = one["seconds"][name]["median"]
    operations, moved = amounts(one)
    rate, copied = rates["operations"].get(dtype), rates.get("bytes")
    ours = name in OURS
    bound = max(operations / rate, moved / copied) if rate and copied else None
    reference = one["log_likelihood"].get("emgmm, NumPy")
    own = one["log_likelihood"][name]
    return [
        *(f"{size[key]:,}" for key in "ndK"),
        *(size["model"], dtype, name, milliseconds(one, name)),
        number(operations / taken / 1e9),
        share(operations / taken, rate),
        share(moved / taken, copied) if ours else "-",
        share(bound, taken) if ours else "-",
        number(one["megabytes"].get(name)),
        number(size["n"] * size["K"] * ITEMSIZE[dtype] / 2**20),
        exponent(one["difference"].get(name)),
        exponent(None if reference is None else own - reference),
    ]


def exponent(value):
    return "-" if value is None else f"{value:.0e}"


def fits_table(report):
    header = ["what", "n", "d", "K", "type", "fit, s", "fit of NumPy's rows, s"]
    header += ["predict, ms", "predict NumPy's, ms", "MB added", "iterations"]
    header += ["parameters", "log-likelihood", "labels that differ"]
    names = ("default fit", "search", "long fit")
    lines = [fit_row(one) for name in names for one in results_of(report, name)]
    found = markdown(header, lines)
    return found + "".join(reasons(report, name) for name in names)


def fit_row(one):
    size, seconds = one["case"], one["seconds"]
    times = [
        number(factor * seconds[name]["median"]) if name in seconds else "-"
        for kind, factor in (("fit", 1), ("predict", 1e3))
        for name in (kind, f"{kind}, NumPy")
    ]
    return [
        one["what"],
        *(f"{size[key]:,}" for key in "ndK"),
        one["dtype"],
        *times,
        number(one["megabytes"]),
        " and ".join(map(str, one.get("iterations", "-"))),
        exponent(one.get("difference")),
        exponent(one.get("log_likelihood")),
        one.get("labels", "-"),
    ]


def results_of(report, what):
    return [
        one for one in report["results"] if one["what"] == what and "seconds" in one
    ]


def reasons(report, what):
    """Lines on what was skipped, failed or is not installed, each reason once."""
    found = {}
    for one in report["results"]:
        if one["what"] != what:
            continue
        size = one["case"]
        of = f"{size['n']:,} x {size['d']}, {one['dtype']}" if "n" in size else what
        failed = {"all": one["error"]} if "error" in one else one["failed"]
        for name, reason in failed.items():
            found.setdefault((name, reason), []).append(of)
    return "".join(
        f"\n\nNot there: {name} ({'; '.join(cases)}): {reason}"
        for (name, reason), cases in found.items()
    )


DEVICE_TABLES = {
    "device-rates": ("device", rates_table),
    "device-iterations": ("device", iterations_table),
    "device-fits": ("device", fits_table),
}
