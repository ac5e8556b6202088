"""Write models of the version that is imported, and what it predicts with them.

    PYTHONPATH=. python tests/data/released/write.py

writes the folder of the version beside this file. That is done once, when the version
is released; `test_released.py` loads the models ever after. Cases that a version does
not know are left out.
"""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_iris

import emgmm
from emgmm import GaussianMixtureEM

FAMILIES = ("full", "tied", "diag", "spherical", "VEV", "EVE", "EEI", "EVI")
PRIOR = {"prior": "conjugate"}
FIXED = {"fixed": "means", "means_init": [[5.0, 3.4, 1.5, 0.2], [6.3, 2.9, 4.9, 1.7]]}
CASES = {
    **{name: ({"covariance_type": name}, "rows") for name in FAMILIES},
    "float32": ({}, "float32"),
    "gaps": ({}, "gaps"),
    "stream": ({"covariance_type": "VEV"}, "rows"),
    "noise": ({"noise": "uniform"}, "rows"),
    "prior": (PRIOR, "rows"),
    "fixed": ({**FIXED, "n_components": 2}, "rows"),
}
"""Parameters of a mixture, and which rows it is fitted to."""
METHODS = ("predict", "predict_proba", "score_samples")


def rows_of(kind):
    """Iris; in single precision, or with every seventh value missing."""
    X = load_iris().data
    if kind == "gaps":
        X = X.copy()
        X.flat[::7] = np.nan
    return X.astype(np.float32) if kind == "float32" else X


def fitted(name):
    """The mixture of a case; a TypeError if this version lacks its parameters."""
    settings, kind = CASES[name]
    X = rows_of(kind)
    gmm = GaussianMixtureEM(**{"n_components": 3, "random_state": 0, **settings})
    return streamed(gmm, X) if name == "stream" else gmm.fit(X)


def streamed(gmm, X):
    """The mixture after batches of rows, of which a later one goes on."""
    return gmm.partial_fit(np.tile(X, (3, 1))).partial_fit(X[::2])


def predicted(name, gmm):
    """What the mixture of a case predicts of every third row, and its criteria."""
    X = rows_of(CASES[name][1])
    found = {method: getattr(gmm, method)(X[::3]) for method in METHODS}
    return {**found, "criteria": np.array([gmm.score(X), gmm.bic(X), gmm.icl(X)])}


def write(folder):
    """Write the models of all cases that this version knows, and their predictions."""
    folder.mkdir(parents=True)
    found = {}
    for name in CASES:
        try:
            gmm = fitted(name)
        except TypeError:
            print(f"{name}: not in version {emgmm.__version__}")
            continue
        gmm.save(folder / f"{name}.npz")
        if name != "stream":  # pickles of streams are not for other versions
            (folder / f"{name}.pickle").write_bytes(pickle.dumps(gmm, protocol=4))
        found |= {f"{name}.{key}": value for key, value in predicted(name, gmm).items()}
    gmm = fitted("stream").partial_fit(rows_of("rows")[1::2])
    found |= {f"then.{key}": value for key, value in predicted("stream", gmm).items()}
    np.savez_compressed(folder / "predicted.npz", **found)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    here = Path(__file__).parent
    write(Path(*sys.argv[1:2] or [here]) / emgmm.__version__)
