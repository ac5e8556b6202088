"""Kernels of rows on a device: the same formulas, by functions of the array API.

They go on from the kernels of NumPy, of which they inherit what is of a mixture's size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._data.device import DeviceWorkspace
from emgmm._model.parameters import Parameters
from emgmm._utils.cached import cached_property
from emgmm._utils.device import Device, to_host

from .complete import Quadratic, Whitened
from .kernel import DOUBLE, SINGLE, FloatFormat, Joint, Kernel
from .memberships import RowPrior
from .underflow import settle

LEAST_LENGTH = 2**6  # rows in a block


class OnDevice(Kernel):
    """The part of a kernel that takes joint log-densities to responsibilities."""

    workspace: DeviceWorkspace

    @property
    def device(self) -> Device:
        """Where the rows are."""
        return self.workspace.device

    @property
    def precise(self) -> FloatFormat:
        """The most precise floating-point numbers of the device."""
        return precise_of(self.device)

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> DeviceWhitened:
        return DeviceWhitened(mixture, self.precise, self.workspace, origin)

    def put(self, values: NDArray) -> Any:
        """Numbers on the device, in the type of the kernel."""
        return self.device.put(values, self.dtype)

    @cached_property
    def reference_rows(self) -> Any:
        return self.put(self.reference[:, None])

    def array(self, name: str, *shape: int) -> Any:
        """An array of the workspace, in the type of the kernel."""
        return self.workspace.array(name, shape, self.dtype)

    def joint(self, features: Any, X: Any, prior: RowPrior | None = None) -> Joint:
        values, noise = self.log_joint(features), None
        if self.mixture.noise:
            log_density = self.log_noise + self.mixture.noise.log_density
            noise = self.put(log_density[:, None])
        if prior is not None:
            values = values + self._of_prior(prior)
            if noise is not None:
                others = self.put(prior.table.of_others)
                noise = noise + self.device.xp.take(others, prior.kinds, axis=0)
        return Joint(values, noise, prior)

    def _of_prior(self, prior: RowPrior) -> Any:
        """What is known of rows (M, n)."""
        xp, parts = self.device.xp, []
        for run in self.segments.runs:
            table = self.put(prior.table.of_size(run.size))
            known = xp.take(table, prior.kinds, axis=0).T
            parts += [known] * (run.mixtures.stop - run.mixtures.start)
        return xp.concat(parts, axis=0)

    def posterior(self, joint: Joint, sample_weight: Any = 1.0) -> tuple[Any, Any]:
        xp, into = self.device.xp, self.device.into
        out = self.array("responsibilities", *joint.values.shape)
        total = self._reduced("sum", into(out, "exp", joint.values))
        if joint.noise is not None:
            total = total + xp.exp(joint.noise)
        greatest = 1.0
        if not isinstance(sample_weight, float):
            sample_weight = xp.astype(sample_weight, self.device.dtype(self.dtype))
            greatest = float(xp.max(sample_weight))
        # A weight divided by the total must not overflow.
        least = self.float_format.smallest_total * max(1.0, greatest)
        if bool(xp.all((total > least) & (total < float("inf")))):
            log_density = xp.log(total)
        else:
            log_density, total = self._about_peaks(joint, out)
        shares = self._combined("multiply", out, sample_weight / total)
        return log_density + self.reference_rows, shares

    def _about_peaks(self, joint: Joint, out: Any) -> tuple[Any, Any]:
        """Log-densities (B, n) and totals of exponentials, which are written to ``out``
        relative to the maxima.

        A row whose log-densities are all minus infinity belongs equally to all
        components to which it may belong.
        """
        xp, peak = self.device.xp, self.peak(joint)
        lost = peak == -float("inf")
        shift = xp.where(lost, xp.zeros_like(peak), peak)
        out[...] = joint.values
        self._combined("subtract", out, shift)
        if bool(xp.any(lost)):
            prior = joint.prior
            known = self._of_prior(prior) if prior else xp.zeros_like(out)
            of_mixture = self.device.put(self.segments.mixture)
            out[...] = xp.where(xp.take(lost, of_mixture, axis=0), known, out)
        self.device.into(out, "exp", out)
        total = self._reduced("sum", out)
        if joint.noise is not None:
            total = total + xp.exp(joint.noise - shift)
        return xp.log(total) + peak, total

    def peak(self, joint: Joint) -> Any:
        peak = self._reduced("max", joint.values)
        if joint.noise is not None:
            peak = self.device.xp.maximum(peak, joint.noise)
        if self.unlimited:
            return peak
        xp = self.device.xp
        return xp.where(xp.isfinite(peak), peak, xp.full_like(peak, float("nan")))

    def labels(self, joint: Joint) -> Any:
        xp, peak = self.device.xp, self.known(self.peak(joint)[0, ...])
        labels = xp.argmax(joint.values, axis=0)
        if joint.noise is None:
            return labels
        own = self._reduced("max", joint.values)[0, ...]
        return xp.where(own == peak, labels, xp.full_like(labels, -1))

    def noise_shares(self, joint: Joint, log_density: Any) -> Any:
        xp = self.device.xp
        if joint.noise is None:
            return xp.zeros_like(log_density)
        return xp.exp(joint.noise - (log_density - self.reference_rows))

    def known(self, values: Any) -> Any:
        xp = self.device.xp
        if not self.unlimited and bool(xp.any(xp.isnan(values))):
            raise FloatingPointError("a row is too far from all components")
        return values

    def settled(self, joint: Joint, X: Any) -> Joint:
        xp = self.device.xp
        if bool(xp.all(xp.max(joint.values, axis=0) > -float("inf"))):
            return joint
        values = np.array(to_host(joint.values), dtype=np.float64)
        settled = settle(values, to_host(X), self.mixture)
        return joint._replace(values=self.put(settled))

    def weighted_sums(self, weights: Any, values: Any) -> NDArray:
        xp, dtype = self.device.xp, self.device.dtype(self.precise.dtype)
        terms = xp.astype(values, dtype, copy=False) * weights
        # 0 times infinity is 0.
        return self.device.total(xp.where(weights > 0, terms, xp.zeros_like(terms)))

    def total(self, values: Any) -> NDArray:
        return self.device.total(values)

    def _reduced(self, function: str, values: Any) -> Any:
        """Sums or maxima over the components of each mixture, (M, n) to (B, n)."""
        xp, reduce = self.device.xp, getattr(self.device.xp, function)
        if self.segments.are_one:
            return reduce(values, axis=0, keepdims=True)
        return xp.concat([reduce(own, axis=1) for _, own in self._runs(values)], axis=0)

    def _combined(self, function: str, values: Any, others: Any) -> Any:
        """Values (M, n), in place, combined with the row of their mixture, (B, n)."""
        if self.segments.are_one:
            return self.device.into(values, function, values, others)
        for mixtures, own in self._runs(values):
            self.device.into(own, function, own, others[mixtures, None, :])
        return values

    def _runs(self, values: Any) -> Iterator[tuple[slice, Any]]:
        """Mixtures of equally many components, and their part of values (M, n), a view
        of shape (mixtures, components, n)."""
        for run in self.segments.runs:
            shape = (-1, run.size, values.shape[1])
            own = values[run.components, :]
            yield run.mixtures, self.device.xp.reshape(own, shape)


class DeviceQuadratic(OnDevice, Quadratic):
    """``Quadratic`` on a device."""

    @property
    def block_length(self) -> int:
        n_components, n_features = self.theta.shape
        width = n_features + 2 * n_components
        return max(self.device.n_numbers // width, LEAST_LENGTH)

    def features(self, X: Any) -> Any:
        d, shared = X.shape[1], self.n_shared
        name = "features" if shared else "distances"
        how = self.dtype, self.origin.tobytes()
        kept = self.workspace.kept(name, X, how)
        if kept is not None and kept.shape[0] >= shared:
            return kept[:shared, :] if shared else kept
        width = shared or 1 + d + len(self.segments)
        out = self.array(name, width, X.shape[0])
        out[0, ...] = 1.0
        z, second = out[1 : 1 + d, :], out[1 + d :, :]
        self.device.into(z, "subtract", X.T, self.put(self.origin[:, None]))
        if not shared:
            self._write_distances(z, second)
            return out
        if self.second.size(d) == d:
            self.device.into(second, "multiply", z, z)
        else:
            self._write_products(z, second)
        self.workspace.keep(name, X, how)
        return out

    def _write_products(self, z: Any, out: Any) -> None:
        """Write z_i z_j with j = i + s modulo d, for every shift s."""
        d = z.shape[0]
        for start in range(0, out.shape[0], d):
            shift, number = start // d, min(d, out.shape[0] - start)
            ahead = min(number, d - shift)  # rows with i + s < d
            own, others = out[start : start + ahead, :], z[shift : shift + ahead, :]
            self.device.into(own, "multiply", z[:ahead, :], others)
            if ahead < number:
                own, others = out[start + ahead : start + number, :], z[:shift, :]
                self.device.into(own, "multiply", z[ahead:number, :], others)

    def _write_distances(self, z: Any, out: Any) -> None:
        """Write z'Pz / 2 of each mixture, (B, n)."""
        xp, into, (d, n) = self.device.xp, self.device.into, z.shape
        factors = np.sqrt(0.5) * self.mixture.covariances.precisions_cholesky.mT
        size = max(self.device.n_numbers // (d * n), 1)
        for start in range(0, len(factors), size):
            own = factors[start : start + size]
            whitened = self.array("whitened", len(own) * d, n)
            into(whitened, "matmul", self.put(own.reshape(-1, d)), z)
            into(whitened, "multiply", whitened, whitened)
            squares = xp.reshape(whitened, (len(own), d, n))
            out[start : start + len(own), :] = xp.sum(squares, axis=1)

    def log_joint(self, features: Any) -> Any:
        theta = self.rounded_theta
        out = self.array("log_joint", len(theta), features.shape[1])
        if theta.shape[1] == features.shape[0]:
            return self.device.into(out, "matmul", self.put(theta), features)
        first = theta.shape[1] - 1
        linear = self.put(np.ascontiguousarray(theta[:, :first]))
        self.device.into(out, "matmul", linear, features[:first, :])
        return self._combined("subtract", out, features[first:, :])

    def moments(self, features: Any, responsibilities: Any) -> NDArray:
        if not self.n_shared:
            features = features[: 1 + len(self.origin), :]
        return self.device.contract(features, responsibilities)


class DeviceWhitened(OnDevice, Whitened):
    """``Whitened`` on a device."""

    @property
    def unlimited(self) -> bool:
        return self.float_format is self.precise

    @property
    def block_length(self) -> int:
        n_components, d = self.mixture.means.shape
        width = 2 * n_components + 4 * d
        return max(self.device.n_numbers // width, LEAST_LENGTH)

    def features(self, X: Any) -> Any:
        z = self.array("rows", X.shape[1], X.shape[0])
        return self.device.into(
            z, "subtract", X.T, self.put(self.deviations.base[:, None])
        )

    def log_joint(self, features: Any) -> Any:
        xp = self.device.xp
        out = self.array("log_joint", len(self.constants), features.shape[1])
        for group in self._groups(features):
            vectors = self._deviations(features, self.mixture.means[group])[:, 1:, :]
            factors = self.put(self.factors[group])
            if factors.ndim == 3:
                whitened = xp.matmul(factors, vectors)
            else:
                whitened = factors[:, :, None] * vectors
            squares = self.device.into(whitened, "multiply", whitened, whitened)
            out[group, :] = xp.sum(squares, axis=1)
        return self.device.into(out, "subtract", self.put(self.constants[:, None]), out)

    def moments(self, features: Any, responsibilities: Any) -> NDArray:
        """Shape (K, 1 + d, 1 + d), or (K, 2, 1 + d) for diagonal products."""
        kind, contract = self.mixture.covariances.moment_kind, self.device.contract
        found = []
        for group in self._groups(features):
            vectors = self._deviations(features, self.deviations.origin[group])
            weights = responsibilities[group, None, :]
            if kind.of_squares:
                both = vectors, vectors * vectors
                sums = [contract(weights, each)[:, 0] for each in both]
                found.append(np.stack(sums, axis=1))
            else:
                found.append(contract(vectors * weights, vectors))
        return np.concatenate(found)

    def _groups(self, features: Any) -> Iterator[slice]:
        """Slices of components whose arrays are small enough."""
        numbers = 2 * (1 + features.shape[0]) * features.shape[1]
        size = max(self.device.n_numbers // numbers, 1)
        for start in range(0, len(self.constants), size):
            yield slice(start, min(start + size, len(self.constants)))

    def _deviations(self, features: Any, origin: NDArray) -> Any:
        """[1, x - o_k] of some components, (components, 1 + d, n)."""
        d, n = features.shape
        out = self.array("vectors", len(origin), 1 + d, n)
        out[:, 0, :] = 1.0
        shifts = (origin - self.deviations.base)[:, :, None]
        rounded = shifts.astype(self.dtype)
        vectors = out[:, 1:, :]
        self.device.into(vectors, "subtract", features[None, ...], self.put(rounded))
        if self.float_format is SINGLE:  # what is near a mean is as exact as the rows
            rest = self.put(shifts - rounded)
            self.device.into(vectors, "subtract", vectors, rest)
        return out


def precise_of(device: Device) -> FloatFormat:
    """The most precise floating-point numbers of a device."""
    return SINGLE if device.float_type == np.float32 else DOUBLE
