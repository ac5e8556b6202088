"""The tables of the classifier, beside R's MclustDA and scikit-learn's classifiers."""

from __future__ import annotations

from .classifier import COMMON, FOLDS, OWN
from .tables import done, markdown, number

SAME = 1e-3  # nats of all rows
WRONG = "VVE"  # whose update of the common orientation mclust has wrong
MCLUST_NOTE = (
    "\n\nErrors are of the training rows. Log-likelihoods in nats: of the rows, as R"
    " reports it, and of the rows with their classes, which both maximise; in"
    f" {OWN} by the model and the number of components that BIC chooses in each class."
)
MODELS_NOTE = (
    "\n\nLog-likelihoods of the rows with their classes; equal within"
    f" {SAME:g} nats. mclust's M-step of {WRONG} does not reach the maximum."
)
ACCURACY_NOTE = (
    f"\n\nPercent of rows classified correctly when left out, in {FOLDS} folds, +- the"
    " standard error over the folds. The first chooses the common model by BIC"
    " among full, tied, diag and spherical; the second, one or two components for each"
    " class, and the model, by cross-validation within the other folds."
)


def of_kind(report, what):
    """The results of a kind that did not fail."""
    return [one for one in done(report) if one["case"]["what"] == what]


def mclust_table(report):
    """What BIC chooses in both, of each data set and kind."""
    header = ["rows", "type", "errors", "mclust", "log-likelihood", "mclust"]
    header += ["with classes", "mclust", "models", "mclust"]
    lines = [
        [one["case"]["data"], fit["type"], *side_by_side(fit)]
        for one in of_kind(report, "mclust")
        for fit in one["fits"]
        if fit["model"] == "all"
    ]
    return markdown(header, lines) + MCLUST_NOTE


def side_by_side(fit):
    """Cells of both fits in turn."""
    for cell in (
        lambda found: f"{100 * found['error_rate']:.2f}%",
        lambda found: f"{found['log_likelihood']:.3f}",
        lambda found: f"{found['joint']:.3f}",
        described,
    ):
        for name in ("emgmm", "mclust"):
            yield cell(fit[name]) if fit[name] else "-"


def described(found):
    """The models of the classes, with numbers of components, once if all are equal."""
    names = [
        f"{model} {size}"
        for model, size in zip(found["models"], found["sizes"], strict=True)
    ]
    return names[0] if len(set(names)) == 1 else ", ".join(names)


def models_table(report):
    """How often each common model is more likely than in mclust, as likely, or less."""
    header = ["rows", "compared", "better", "equal", "worse", "worst shortfall", "at"]
    header += [f"{WRONG}: better by", "more errors"]
    lines = [
        [one["case"]["data"], *agreement(one["fits"])]
        for one in of_kind(report, "mclust")
    ]
    return markdown(header, lines) + MODELS_NOTE


def agreement(fits):
    """Cells of the common models of a data set."""
    common = [
        fit
        for fit in fits
        if fit["type"] == COMMON and fit["model"] != "all" and fit["mclust"]
    ]
    gains = {
        fit["model"]: fit["emgmm"]["joint"] - fit["mclust"]["joint"] for fit in common
    }
    wrong = gains.pop(WRONG, None)
    worst = min(gains, key=gains.get, default=None)
    better = sum(gain > SAME for gain in gains.values())
    worse = sum(gain < -SAME for gain in gains.values())
    more = [
        fit["model"]
        for fit in common
        if fit["emgmm"]["error_rate"] > fit["mclust"]["error_rate"] + 1e-9
    ]
    return [
        len(gains),
        better,
        len(gains) - better - worse,
        worse,
        number(max(-gains[worst], 0.0)) if worst else "-",
        worst if worse else "-",
        number(wrong),
        ", ".join(more) or "-",
    ]


def accuracy_table(report):
    """A row to a data set, a column to a classifier."""
    results = of_kind(report, "accuracy")
    names = list(results[0]["accuracies"]) if results else []
    header = ["rows", "n", "d", "classes", *names]
    lines = [
        [
            one["case"]["data"],
            *(one[key] for key in ("n", "d", "classes")),
            *(percent(one["accuracies"].get(name)) for name in names),
        ]
        for one in results
    ]
    return markdown(header, lines) + ACCURACY_NOTE


def percent(found):
    if found is None:
        return "failed"
    return f"{100 * found['accuracy']:.1f} +- {100 * found['error']:.1f}"


CLASSIFIER_TABLES = {
    "classifier-mclust": ("classifier", mclust_table),
    "classifier-models": ("classifier", models_table),
    "classifier-accuracy": ("classifier", accuracy_table),
}
