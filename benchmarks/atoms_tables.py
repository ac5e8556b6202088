"""The tables of rows with atoms, and of rounded rows."""

from __future__ import annotations

import numpy as np

from .comparisons import decimals, percent, sound
from .tables import markdown

RIGHT = 0.95  # of the adjusted Rand index: from there on the clusters are found


def atoms_table(report):
    header = ["rows", "sets", "library", "clusters found", "mean ARI", "warned"]
    rows = [
        [
            one["case"]["what"],
            one["case"]["seeds"],
            name,
            percent(np.mean(np.array(fitted["ari"]) >= RIGHT)),
            decimals(np.mean(fitted["ari"])),
            fitted["warned"],
        ]
        for one in sound(report)
        if one["case"]["what"] != "rounded"
        for name, fitted in one.items()
        if name != "case"
    ]
    found = f"Clusters count as found from an adjusted Rand index (ARI) of {RIGHT} on."
    return f"{markdown(header, rows)}\n\n{found}"


def rounded_table(report):
    header = ["mixture", "step", "K", "selected", "ARI", "ARI not rounded", "warned"]
    header += ["mclust selects", "ARI"]
    cases = [one for one in sound(report) if one["case"]["what"] == "rounded"]
    nothing = {"selected": "-", "ari": None, "K": None}
    rows = [
        [
            one["case"]["mixture"] + 1,
            one["case"]["step"],
            one["K"],
            one["emgmm"]["selected"],
            decimals(one["emgmm"]["ari"]),
            decimals(one["not rounded"]["ari"]),
            "yes" if one["emgmm"]["warned"] else "no",
            one.get("mclust", nothing)["selected"],
            decimals(one.get("mclust", nothing)["ari"]),
        ]
        for one in cases
    ]
    shares = ", ".join(
        f"{name} {percent(np.mean([one['K'] == one[name]['K'] for one in cases]))}"
        for name in ("emgmm", "mclust")
        if all(name in one for one in cases)
    )
    return f"{markdown(header, rows)}\n\nRight number of components: {shares}."


ATOMS_TABLES = {
    "atoms": ("atoms", atoms_table),
    "rounded": ("atoms", rounded_table),
}
