"""The search: draft."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
import numpy as np

from emgmm._estep.estep import statistics_of_start
from emgmm._estep.statistics import Statistics
from emgmm._model.families import MODELS, Families
from emgmm._model.covariances import Full
from emgmm._model.moment_kinds import DIAGONAL, FULL
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .common_starts import common_starts
from .exchange import bounds, ends, merged, near_to
from .pool import Group, Pool
from .sources import Sources

HOPE = 10.0
SAME_START = 1e-5
SAME_FIT = 1e-7


@dataclass
class Schedule:
    first: int = 2
    kept: int = 4
    further: int = 5
    finishing: int = 2
    loose: float = 1e-3
    loose_iter: int = 100
    trials: int = 2
    trial_iter: int = 4
    merges: int = 2
    rounds: int = 2
    round_tol: float = 1e-3
    plain_loose: bool = False
    beyond: int = 0
    T: int = 0
    width: int = 2
    news: float = 1e-3
    removals: int = 0
    removal_iter: int = 1


class Draft:
    def __init__(self, groups, views, reference, schedule):
        self.groups, self.views, self.reference, self.s = groups, views, reference, schedule
        self.log = []

    def note(self, name, pool, before):
        its = sum(
            (len(h)) * k
            for each in pool.results
            for h, k in zip(each.histories, each.mixtures.segments.sizes)
        )
        now = time.process_time()
        self.log.append((name, len(pool.model), int(its), round(now - before, 3)))
        return now

    def common(self, most, names):
        starts = common_starts(self.reference, most, names)
        sources, sizes = [], []
        labels = [(K, a) for K in sorted(starts) for a in starts[K]]
        for rows, units in self.views:
            parts = [statistics_of_start(rows, a, K, FULL) for K, a in labels]
            stats = Statistics.joined(parts)
            total = stats.segments.sum(stats.scatter) / stats.weight[:, None, None]
            values = stats.segments.spread(total).copy()
            full, _ = Full.estimated(values, stats.segments, values.shape[-1])
            near = Parameters(stats.counts / stats.segments.spread(stats.weight), stats.means, full)
            sources.append(Sources(stats, near))
        return sources

    def fits2(self, numbers, names):
        s = self.s
        t = time.process_time()
        sources = self.common(max(numbers) + s.beyond, names)
        models = np.concatenate([g.models for g in self.groups])
        S = len(sources[0].statistics.segments)
        source, model = (a.ravel() for a in np.meshgrid(np.arange(S), models, indexing="ij"))
        self.log.append(("common", S, 0, round(time.process_time() - t, 3))); t = time.process_time()
        pool = Pool.begin(self.groups, sources, source, model)
        t = self.note("begin", pool, t)
        pool = pool.run(plain=True, max_iter=s.first, tol=0.0)
        pool = pool.take(pool.best(s.kept))
        t = self.note("first", pool, t)
        offered = {}
        for r in range(s.rounds + 1):
            going = ~pool.converged & pool.sound
            ran = pool.take(going).run(plain=s.plain_loose, max_iter=s.T, tol=s.loose)
            t = self.note(f"run{r}", ran, t)
            pool = Pool.joined([pool.take(~going), ran])
            champions = pool.best(1, SAME_FIT)
            best = pool.take(champions)
            if r == s.rounds:
                break
            rivals = np.setdiff1d(pool.best(s.width), champions)
            rivals = pool.take(rivals)
            rivals = rivals.take(self.hopeful2(rivals, best))
            keys = best.model * 1000 + best.size
            last = np.array([offered.get(k, -np.inf) for k in keys])
            fresh = best.bound > last + s.news
            if not fresh.any():
                pool = best
                break
            offered.update(zip(keys[fresh], best.bound[fresh]))
            trial = self.exchanged(best, fresh)
            n = len(trial.model)
            parts = [best, rivals, trial]
            if s.removals:
                removed = self.removed(best, fresh).run(plain=True, max_iter=0, tol=0.0)
                t = self.note(f"removed{r}", removed, t)
                parts.append(removed.take(removed.best(s.removals)))
            pool = Pool.joined(parts)
            t = self.note(f"exchange{r} fresh {fresh.sum()} rivals {len(rivals.model)} trials {n}", pool, t)
        best = best.take(np.isin(best.size, numbers))
        sound = best.sound
        good = best.take(sound).run(max_iter=1000, tol=1e-5)
        t = self.note("final", good, t)
        bad = best.take(~sound).run(max_iter=1000, tol=1e-5)
        t = self.note("final unsound", bad, t)
        best = Pool.joined([good, bad])
        best = best.take(best.best(1))
        return best

    def hopeful2(self, trial, best):
        own = self._index(trial, best)
        ahead = trial.bound - best.bound[own]
        near = self._near(trial, best, own)
        return (trial.sound == best.sound[own]) & (ahead + HOPE * trial.gain > 0) & ~near

    def fits(self, numbers, names):
        s = self.s
        t = time.process_time()
        sources = self.common(max(numbers) + s.beyond, names)
        models = np.concatenate([g.models for g in self.groups])
        S = len(sources[0].statistics.segments)
        source, model = (a.ravel() for a in np.meshgrid(np.arange(S), models, indexing="ij"))
        self.log.append(("common", S, 0, round(time.process_time() - t, 3))); t = time.process_time()
        pool = Pool.begin(self.groups, sources, source, model)
        t = self.note("begin", pool, t)
        pool = pool.run(plain=True, max_iter=s.first, tol=0.0)
        t = self.note("first", pool, t)
        pool = pool.take(pool.best(s.kept)).run(plain=True, max_iter=s.further, tol=0.0)
        t = self.note("further", pool, t)
        pool = pool.take(pool.best(s.finishing)).run(plain=s.plain_loose, max_iter=s.loose_iter, tol=s.loose)
        best = pool.take(pool.best(1))
        t = self.note("loose", pool, t)
        fresh = np.ones(len(best.model), dtype=bool)
        for r in range(s.rounds):
            before = best
            if not fresh.any():
                break
            trial = self.exchanged(best, fresh)
            if s.removals:
                removed = self.removed(best, fresh).run(plain=True, max_iter=s.removal_iter, tol=0.0)
                t = self.note(f"removed{r}", removed, t)
                trial = Pool.joined([trial, removed.take(removed.best(s.removals))])
            t = self.note(f"exchange{r}", trial, t)
            trial = trial.run(plain=True, max_iter=s.trial_iter, tol=0.0)
            trial = trial.take(self.hopeful(trial, best))
            t = self.note(f"trial{r}", trial, t)
            if len(trial.model):
                trial = trial.run(plain=s.plain_loose, max_iter=s.loose_iter, tol=s.round_tol)
                t = self.note(f"loose{r}", trial, t)
                both = Pool.joined([best, trial])
                old = np.concatenate([np.repeat([True, False], [len(a), len(b)]) for a, b in zip(best.models, trial.models)])
                chosen = both.best(1, SAME_FIT)
                best = both.take(chosen)
                fresh = ~old[np.concatenate([chosen[(chosen >= lo) & (chosen < hi)] for lo, hi in both.bounds_of_groups])]
            else:
                break
        best = best.take(np.isin(best.size, numbers)).run(max_iter=1000, tol=1e-5)
        t = self.note("final", best, t)
        return best

    def exchanged(self, best, fresh):
        s = self.s
        sources = ends(best, self.views)
        n = len(best.model)
        # every run to every other model with as many components
        target, source = np.nonzero(
            (best.size[:, None] == best.size) & ~np.eye(n, dtype=bool) & fresh
        )
        pool, src = self._begin(sources, source, best.model[target])
        offered = bounds(pool, sources, src)
        own = self._index(pool, best)
        flat = np.concatenate(src)
        ahead = offered - best.bound[own]
        candidates = np.flatnonzero((ahead > -1.0))
        near = self._near(pool, best, own)
        usable = np.flatnonzero((ahead > SAME_START) | ~near)
        usable = usable[np.argsort(-offered[usable], kind="stable")]
        # at most so many different ones for each
        chosen, seen = [], {}
        for i in usable:
            mine = seen.setdefault(own[i], [])
            if len(mine) < s.trials and all(abs(offered[i] - x) > SAME_START for x in mine):
                mine.append(offered[i]); chosen.append(i)
        trial = pool.take(np.sort(np.array(chosen, int)))
        if s.merges:
            less = [merged(each, s.merges) for each in sources]
            if less[0][0] is not None:
                parents = less[0][1]
                sizes = less[0][0].statistics.segments.sizes
                wanted = fresh[parents] & np.isin(best.model[parents] * 1000 + sizes, best.model * 1000 + best.size)
                index = np.flatnonzero(wanted)
                merges = Pool.begin(self.groups, [a for a, _ in less], index, best.model[parents][index])
                trial = Pool.joined([trial, merges])
        return trial

    def removed(self, best, fresh):
        from emgmm._em.result import EMResults
        from emgmm._model.segments import Segments
        results = []
        wantedkeys = best.model * 1000 + best.size
        begin = 0
        for models, each in zip(best.models, best.results):
            mine = fresh[begin : begin + len(models)]
            begin += len(models)
            mix = each.mixtures
            sizes = mix.segments.sizes
            ok = mine & np.isin(models * 1000 + sizes - 1, wantedkeys)
            which = np.repeat(np.flatnonzero(ok), sizes[ok])
            out = np.concatenate([np.arange(k) for k in sizes[ok]]) if ok.any() else np.zeros(0, int)
            many = mix.take(which)
            keep = np.ones(many.segments.n_components, bool)
            keep[many.segments.offsets + out] = False
            cov = many.covariances
            seg = Segments.of(many.segments.sizes - 1)
            ent = slice(None) if cov.of_mixtures else keep
            new = type(cov)(cov.values[ent], cov.precisions_cholesky[ent], seg, cov.n_features)
            w = many.weights[keep]
            w = w / seg.spread(seg.sum(w)) if len(seg) != 1 else w / w.sum()
            n = len(which)
            results.append((models[which], EMResults(Parameters(w, many.means[keep], new), np.zeros(n, bool), np.zeros(n, bool), [[] for _ in range(n)], [None] * n)))
        return Pool(best.groups, [m for m, _ in results], [r for _, r in results])

    def _begin(self, sources, source, model):
        parts, src = [], []
        pool = Pool.begin(self.groups, sources, source, model)
        # which sources remain
        for group, models in zip(self.groups, pool.models):
            own = np.flatnonzero(np.isin(model, group.models))
            problem = group.problem_of(model[own])
            src.append(source[own])
            assert len(own) == len(models), "failed starts"
        return pool, src

    def _index(self, pool, best):
        key = best.model * 1000 + best.size
        order = np.argsort(key)
        return order[np.searchsorted(key[order], pool.model * 1000 + pool.size)]

    def _near(self, pool, best, own):
        found, begin, first = [], 0, 0
        for each, others in zip(pool.results, best.results):
            n = len(each)
            if n:
                index = own[begin : begin + n] - first
                found.append(near_to(each.mixtures, others.mixtures.take(index)))
            begin += n
            first += len(others)
        return np.concatenate(found) if found else np.zeros(0, bool)

    def hopeful(self, trial, best):
        own = self._index(trial, best)
        ahead = trial.bound - best.bound[own]
        sound, bs = trial.sound, best.sound[own]
        near = self._near(trial, best, own)
        hope = (np.abs(ahead) > SAME_START) & (ahead + HOPE * trial.gain > 0) & ((ahead > 0) | ~near)
        return np.where(sound == bs, hope, sound)


def draft(groups, views, reference, numbers, schedule, names):
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        d = Draft(groups, views, reference, schedule)
        return d, (d.fits2 if schedule.T else d.fits)(numbers, names)
