"""The cases: what is measured, on which rows, and what is asked of the result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .anchors import CHECKS

MODELS = "EII VII EEI VEI EVI VVI EEE VEE EVE VVE EEV VEV EVV VVV".split()
SKLEARN_MODELS = ("full", "tied", "diag", "spherical")

# The least ratio of scikit-learn's time to emgmm's, or the most megabytes.
MEGABYTES = 40
OUTOFCORE_MEGABYTES = 300
PREDICTION_RATIO = 4.0
SMALL_RATIO = 4.0
IMPORT_SECONDS = 0.05


def case(group, n, d, K, model="full", **more):
    return {"group": group, "n": n, "d": d, "K": K, "model": model, **more}


ITERATIONS = [
    case("iterations", 200_000, 2, 3, "full", floor=8.0),
    case("iterations", 100_000, 10, 20, "full", floor=10.0),
    case("iterations", 150_000, 2, 4, "full", floor=8.0),
    case("iterations", 100_000, 8, 8, "full", floor=8.0),
    case("iterations", 60_000, 25, 8, "full", floor=5.0),
    case("iterations", 60_000, 40, 8, "full", floor=5.0),
    case("iterations", 50_000, 30, 10, "full", floor=5.0),
    case("iterations", 20_000, 80, 8, "full", floor=3.0),
    case("iterations", 20_000, 100, 10, "full", floor=3.0),
    case("iterations", 100_000, 10, 20, "tied", floor=10.0),
    case("iterations", 100_000, 10, 20, "diag", floor=5.0),
    case("iterations", 100_000, 10, 20, "spherical", floor=5.0),
    case("iterations", 1_000_000, 2, 3, "full", floor=8.0),
]

PASSES = [{**one, "group": "passes"} for one in ITERATIONS]
# Standard deviation of the centres of blobs of unit variance: so near that EM needs
# tens of iterations, and so far apart that it needs not thousands.
QUALITY = [
    case("quality", 200_000, 2, 3, spread=5.0),
    case("quality", 50_000, 10, 20, spread=1.5),
    case("quality", 50_000, 30, 10, spread=0.7),
    case("quality", 20_000, 10, 5, spread=1.0),
]

PREDICT = [
    case("predict", 1_000_000, 10, 20, method=method, floor=PREDICTION_RATIO)
    for method in ("predict", "predict_proba", "score_samples")
]

SMALL = [
    {"group": "small", "what": "fit", "start": "split", "floor": 1.0},
    {"group": "small", "what": "fit", "start": "kmeans", "floor": SMALL_RATIO},
    {"group": "small", "what": "import", "floor": IMPORT_SECONDS},
]

MEMORY = [
    case("memory", 1_000_000, 10, 20, model, library=library, floor=MEGABYTES)
    for library, models in (("emgmm", MODELS), ("scikit-learn", SKLEARN_MODELS))
    for model in models
]

SIZES = {
    "n": [10_000, 31_623, 100_000, 316_228, 1_000_000, 3_162_278, 10_000_000],
    "d": [2, 5, 10, 20, 50, 100, 200],
    "K": [2, 5, 10, 20, 50, 100],
}
FIXED = {
    "n": {"d": 10, "K": 5},
    "d": {"n": 20_000, "K": 10},
    "K": {"n": 20_000, "d": 10},
}
SCALING = [
    case("scaling", **FIXED[axis], **{axis: size}, axis=axis, sklearn_most=1_000_000)
    for axis, sizes in SIZES.items()
    for size in sizes
]

OVERSUBSCRIPTION = [
    case("oversubscription", 10_000, 10, 20, library=library, backend=backend)
    for library in ("emgmm", "scikit-learn")
    for backend in ("one job", "processes", "threading")
]

STARTS = [{"group": "starts", "seeds": 20}]
SELECTION = [
    {"group": "selection", "data": name, "repeats": 3}
    for name in ("iris", "faithful", "acidity", "galaxies", "sim_d2_n5000_k8")
]
SEARCH = [
    {
        "group": "search",
        "data": data,
        "threads": 1,
        "clock": "cpu",
        "mclust": True,
        "repeats": repeats,
    }
    for data, repeats in (("iris", 3), ("wine", 2), ("1000 x 3", 3), ("10000 x 3", 1))
] + [
    {
        "group": "search",
        "data": "breast cancer",
        "threads": 2,
        "clock": "wall",
        "mclust": False,  # some minutes
        "repeats": 1,
    }
]
CLASSIFIER = [
    {"group": "classifier", "what": what, "data": name}
    for what, names in [
        ("mclust", ("iris", "wine", "banknote", "thyroid", "diabetes")),
        ("accuracy", ("iris", "wine", "breast cancer", "digits")),
        ("accuracy", ("banknote", "thyroid", "diabetes")),
    ]
    for name in names
]
BOOTSTRAP = [
    *(
        {"group": "bootstrap", "what": "errors", "data": data, "model": model, "K": K}
        for data, model, K in [
            ("faithful", "VVV", 2),
            ("faithful", "EEE", 3),
            ("iris", "VEV", 2),
            ("iris", "VEV", 3),
        ]
    ),
    *(
        {"group": "bootstrap", "what": "tests", "data": data, "model": model, "K": K}
        for data, model, K in [
            ("faithful", "VVV", 2),
            ("faithful", "EEE", 2),
            ("iris", "VVV", 2),
            ("simulated", "EII", 2),
        ]
    ),
    {"group": "bootstrap", "what": "level", "data": "two clusters", "model": "EII"},
]
SEARCHMAP = [case("searchmap", 1_000_000, 4, 5, "all", floor=OUTOFCORE_MEGABYTES)]
MOST_OF_ONE_START = 3.0  # the most that twenty starts may take
RESTARTS = [
    {
        "group": "restarts",
        "data": data,
        "K": K,
        "init": init,
        "n_init": 20,
        "seeds": 10,
        "most": MOST_OF_ONE_START,
    }
    for data, K in (("iris", 3), ("1000 x 3", 5))
    for init in ("random_from_data", "k-means++")
]
SMALLFITS = [
    {
        "group": "smallfits",
        "data": "iris",
        "K": 3,
        "init": "kmeans",
        "seeds": 10,
        "clock": "wall",  # in its default number of threads
    },
    {
        "group": "smallfits",
        "data": "suite",
        "most_rows": 5_000,
        "seeds": 1,
        "clock": "cpu",
    },
]
SUITES = ("first", "second")
DEFAULTS = [
    {"group": "defaults", "what": "fits", "suite": suite, "seeds": 2, "repeats": 3}
    for suite in SUITES
] + [
    {"group": "defaults", "what": "holdout", "suite": suite, "splits": 5}
    for suite in SUITES
]
ACCELERATION = [{"group": "acceleration", "seeds": 3, "repeats": 3}]

ATOMS = [
    {"group": "atoms", "what": what, "seeds": seeds}
    for what, seeds in [
        ("zeros and blobs", 10),
        ("a fifth at one point", 20),
        ("black pixels", 10),
        ("a constant integer", 8),
        ("one-hot columns", 8),
        ("zero-inflated", 8),
        ("a constant column", 8),
    ]
] + [
    {"group": "atoms", "what": "rounded", "mixture": mixture, "step": step}
    for mixture in range(3)
    for step in (0.1, 0.25, 0.5, 1.0)
]

ANCHORS = [{"group": "anchors", "what": what} for what in CHECKS]

OUTLIERS = [
    {"group": "outliers", "data": name, "seeds": 5}
    for name in (
        *("simulated", "wine", "breast cancer", "thyroid", "banknote"),
        *("diabetes", "digits"),
    )
]

NOISE = [
    {"group": "noise", "data": name, "shares": [0, 0.05, 0.1, 0.2, 0.3], "seeds": 5}
    for name in ("correlated", "unequal", "spheres", "five features", "six")
]

SHARES = (0.05, 0.2, 0.4)  # of the cells
FEW_RATIO, ANY_RATIO = 3.0, 15.0  # the most that an iteration with NaN may cost
FEW, MANY, ANY = 5, 50, 0  # patterns; 0: all that cells at random make
INCOMPLETE = [(100_000, 10, (FEW, MANY, ANY)), (10_000, 30, (ANY,))]
MISSING = [
    {"group": "missing", "what": "quality", "data": name, "shares": SHARES, "seeds": 5}
    for name in ("iris", "faithful", "wine", "diabetes", "breast cancer", "digits")
] + [
    case("missing", n, d, 5, model, what="cost", patterns=patterns)
    for n, d, patterns in INCOMPLETE
    for model in ("full", "tied", "diag")
]

FIVE_PERCENT = 0  # of the rows in a batch, instead of a number of them
STEPWISE = [
    {"group": "stepwise", "what": what, "sizes": sizes, "seeds": seeds}
    for what, sizes, seeds in [
        ("suite", [50, 100, 500, FIVE_PERCENT], 3),
        ("models", [50, FIVE_PERCENT], 2),
        ("large", [100, 500, FIVE_PERCENT], 2),
    ]
]

COST = [
    {
        "group": "cost",
        "model": model,
        "n": 40_000,
        "d": [2, 5, 10, 20, 30],
        "K": [2, 5, 10, 20],
    }
    for model in ("full", "tied", "diag")
]

WORKERS = [
    case("workers", n, 10, 5, workers=workers, chunks=chunks)
    for workers, n, chunks in (
        (1, 2_000_000, 16),
        (2, 2_000_000, 16),
        (4, 2_000_000, 16),
        (2, 100_000, 16),
        (2, 1_000_000, 16),
        (2, 10_000_000, 16),
        (2, 1_000_000, 4),
        (2, 1_000_000, 64),
        (2, 1_000_000, 256),
    )
]


def large(n, d, K, model="full", spread=1.0, **more):
    known = {"tol": 1e-3, "rows": "float64", "sklearn": n <= 1_000_000, **more}
    return case("large", n, d, K, model, spread=spread, **known)


LARGE = [
    *(large(4_000_000, 10, 5, model) for model in ("full", "tied", "diag")),
    large(4_000_000, 10, 5, spread=3.0),
    large(4_000_000, 10, 5, tol=1e-6),
    large(1_000_000, 30, 10, spread=0.7),
    large(10_000_000, 2, 3, spread=2.0),
    *(large(4_000_000, 10, 5, rows=rows) for rows in ("float32", "map")),
]

SOURCES = [  # of the same distribution; in memory ten times fewer
    ("map", 40_000_000, "float32"),
    ("iterable", 40_000_000, "float32"),
    ("map", 20_000_000, "float64"),
    ("array", 4_000_000, "float32"),
    ("array", 4_000_000, "float64"),
]
OUTOFCORE = [
    case("outofcore", n, 10, 5, source=source, dtype=dtype, floor=OUTOFCORE_MEGABYTES)
    for source, n, dtype in SOURCES
]

TWICE = 2.0  # the most of scikit-learn's seconds and megabytes
EXTREMES = [
    case("extremes", n, d, K, model, what=what, floor=TWICE)
    for what, n, d, K, model in (
        ("blobs", 100, 6_000, 2, "diag"),
        ("blobs", 100, 6_000, 2, "spherical"),
        ("blobs", 2_000, 20_000, 2, "diag"),
        ("blobs", 30_000, 20, 96, "diag"),
        ("blobs", 100_000, 20, 256, "diag"),
        ("one-hot", 600, 1_201, 2, "full"),
        ("photo", 512 * 512, 3, 5, "full"),
        ("photo", 512 * 512, 3, 16, "full"),
    )
]

GROUPS = {
    "iterations": ITERATIONS,
    "passes": PASSES,
    "quality": QUALITY,
    "predict": PREDICT,
    "small": SMALL,
    "memory": MEMORY,
    "scaling": SCALING,
    "oversubscription": OVERSUBSCRIPTION,
    "starts": STARTS,
    "acceleration": ACCELERATION,
    "selection": SELECTION,
    "search": SEARCH,
    "classifier": CLASSIFIER,
    "bootstrap": BOOTSTRAP,
    "searchmap": SEARCHMAP,
    "restarts": RESTARTS,
    "smallfits": SMALLFITS,
    "defaults": DEFAULTS,
    "atoms": ATOMS,
    "anchors": ANCHORS,
    "missing": MISSING,
    "outliers": OUTLIERS,
    "noise": NOISE,
    "stepwise": STEPWISE,
    "workers": WORKERS,
    "large": LARGE,
    "outofcore": OUTOFCORE,
    "cost": COST,
    "extremes": EXTREMES,
}

# Of the quick run, which shows that everything works rather than how fast it is.
QUICK_ROWS = {
    "cost": 40_000,
    "iterations": 20_000,
    "passes": 20_000,
    "large": 1_000_000,
    "memory": 100_000,
    "missing": 10_000,
    "outofcore": 4_000_000,
    "oversubscription": 3_000,
    "predict": 200_000,
    "quality": 20_000,
    "searchmap": 100_000,
    "workers": 50_000,
}
QUICK_EXTREMES = {("blobs", 100), ("one-hot", 600)}
QUICK_SIZES = {"n": [10_000, 100_000], "d": [2, 20], "K": [2, 20]}
QUICK_SEEDS = 2
QUICK_MODELS = {"EII", "EVE", "VVV", "full"}  # of the memory group
QUICK_DATA = {
    "iris",
    "acidity",
    "simulated",
    "correlated",
}  # of the groups that have data sets
QUICK_DEFAULTS = {  # one of so many problems
    "fits": {"seeds": 1, "every": 20},
    "holdout": {"every": 5},
}


def cases_of(group, quick=False):
    """The cases of a group, each with the number of its repeats."""
    if not quick:
        return [{"repeats": 5, **one} for one in GROUPS[group]]
    return [shortened(one) for one in GROUPS[group] if not skipped(one)]


def skipped(one):
    if one["group"] == "memory":
        return one["model"] not in QUICK_MODELS
    if one["group"] in ("large", "quality"):
        return one["K"] > 5
    if one["group"] == "workers":
        return one["n"] != 2_000_000
    if one["group"] == "extremes":
        return (one["what"], one["n"]) not in QUICK_EXTREMES
    if "data" in one:
        return one["data"] not in QUICK_DATA
    axis = one.get("axis")
    return axis is not None and one[axis] not in QUICK_SIZES[axis]


def shortened(one):
    most = QUICK_ROWS.get(one["group"], 10**9)
    rows = {"n": min(one["n"], most)} if "n" in one else {}
    seeds = {"seeds": min(one["seeds"], QUICK_SEEDS)} if "seeds" in one else {}
    fewer = QUICK_DEFAULTS[one["what"]] if one["group"] == "defaults" else {}
    return {**one, **rows, **seeds, **fewer, "repeats": 2, "quick": True}


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows, and a start of equal weights and unit covariances."""

    X: Any
    means: Any
    model: str

    @property
    def n_components(self):
        return len(self.means)

    @property
    def weights(self):
        import numpy as np

        return np.full(self.n_components, 1 / self.n_components)

    @property
    def covariances(self):
        """Ones or identities, in the model's shape: precisions of the start too."""
        import numpy as np

        K, d = self.means.shape
        return {
            "full": lambda: np.tile(np.eye(d), (K, 1, 1)),
            "tied": lambda: np.eye(d),
            "diag": lambda: np.ones((K, d)),
            "spherical": lambda: np.ones(K),
        }[self.model]()

    @cached_property
    def float32(self):
        return self.X.astype("float32")


def make_problem(one):
    """Blobs of unit variance, and a start at the first rows, or at a row of each."""
    import numpy as np

    rng = np.random.default_rng(0)
    n, d, K = one["n"], one["d"], one["K"]
    centers = one.get("spread", 3.0) * rng.standard_normal((K, d))
    labels = rng.integers(K, size=n, dtype=np.int32)
    X = rng.standard_normal((n, d))
    for first in range(0, n, 100_000):  # a sum of whole arrays would need a third
        rows = slice(first, first + 100_000)
        X[rows] += centers[labels[rows]]
    starts = np.arange(K)
    if one["group"] == "quality":  # so that EM finds the blobs, in a bearable time
        starts = [int(np.flatnonzero(labels == k)[0]) for k in range(K)]
    return Problem(X, X[starts], one["model"])
