"""Two-layer networks: φ(θ, x) = a σ(⟨w, x⟩) with θ = (a, w) ∈ R × R^d (Lazarus 2022, §2.2.1).

The drift needs two matrix products and one pass over the activations; for relu those of
`particleflow.models.relu_products`. Else everything is laid out with the particles along the fast axis: row 0 of the
transposed cloud is a, rows 1..d are wᵀ. Data are taken in tiles of a few rows:

    z = X wᵀ,   f = σ(z) a / m,   r = ½ℓ'(f, y) / n,   ∇_a = Σ_j r_j σ(z_j),   ∇_w = a Σ_j r_j σ'(z_j) x_j.
"""

from importlib import import_module

import numpy as np

from particleflow.activations import RELU, activate, get_activation
from particleflow.errors import InvalidInput
from particleflow.jit import jit
from particleflow.lanes import load, multiply_add, positive, ramp, spread, store, zeros
from particleflow.losses import half_derivatives, loss_values
from particleflow.measure import two_layer_layout
from particleflow.models.panel_sliding import PanelSlidingVelocity
from particleflow.models.plane import predict as predict_in_the_plane
from particleflow.models.plane_sliding import plane_velocity
from particleflow.models.products import SMALL, add_transposed_product, multiply
from particleflow.models.relu_products import BLOCK, PANEL, ReluDrift, can_multiply, evaluate, multiply_panel
from particleflow.models.sliding import SlidingVelocity
from particleflow.regularizers import NONE, PATH_NORM, SMOOTH, add_regularizer
from particleflow.threads import rounds, share

# From so many particles, and pairs of an input's number and a particle on, sorting the inputs pays for one prediction.
_MANY, _PAIRS = 1000, 1e7


class TwoLayer:
    """The two-layer mean-field network f_μ(x) = ∫ a σ(⟨w, x⟩) μ(da, dw).

    Parameters
    ----------
    activation : str or Activation
        σ: "relu", "erf", "tanh", "sigmoid", "square" or "linear".

    Raises
    ------
    InvalidInput
        If there is no such activation.
    """

    kind = "two-layer"
    parameters = ()
    exchangeable = True

    def __init__(self, activation="relu"):
        self.activation = get_activation(activation)

    def layout(self, d):
        """Return the layout of θ = (a, w) for inputs in R^d."""
        return two_layer_layout(d)

    def admissible(self, theta):
        """Return the particles: every entry is a parameter."""
        return theta

    def features(self, theta, X):
        """Return φ(θ_i, x_j) = a_i σ(⟨w_i, x_j⟩), shape (m, n)."""
        return theta[:, :1] * self.activation.value(theta[:, 1:] @ X.T)

    def feature_gradients(self, theta, X):
        """Return ∇φ(θ_i, x_j) = (σ(⟨w_i, x_j⟩), a_i σ'(⟨w_i, x_j⟩) x_j), shape (m, n, 1 + d)."""
        z = theta[:, 1:] @ X.T
        slope = theta[:, :1] * self.activation.derivative(z)
        return np.concatenate([self.activation.value(z)[:, :, None], slope[:, :, None] * X], axis=2)

    def predict(self, theta, X):
        """Return f(x_j) = (1/m) Σ_i a_i σ(⟨w_i, x_j⟩), shape (n,); one tile of data at a time."""
        theta, X = np.ascontiguousarray(theta, dtype=np.float64), np.asarray(X, dtype=np.float64)
        if X.ndim != 2 or X.shape[1] != theta.shape[1] - 1:
            raise InvalidInput(f"inputs have shape {X.shape}, expected (n, {theta.shape[1] - 1})")
        if self.activation.code == RELU and X.shape[1] == 2 and len(theta) >= _MANY and X.size * len(theta) >= _PAIRS:
            return predict_in_the_plane(np.ascontiguousarray(theta), X)
        f = np.empty(len(X))
        rows = max(1, 2**22 // len(theta))
        for start in range(0, len(X), rows):
            tile = slice(start, start + rows)
            if can_multiply(self.activation):
                f[tile] = evaluate(_read_out, X[tile], len(theta), theta) / len(theta)
            else:
                f[tile] = self.activation.value(X[tile] @ theta[:, 1:].T) @ theta[:, 0] / len(theta)
        return f

    def make_velocity(self, data, loss, regularizer, strength, m, *, sliding=True):
        """Return the compiled velocity of m particles; see `particleflow.models.base.Model`."""
        if sliding and self.activation.code == RELU and data.X.shape[1] == 2:
            return plane_velocity(data.X, data.y, loss.code, regularizer.code, 0.5 * strength, m)
        value = np.empty(m)
        if can_multiply(self.activation):
            drift = _ReluDrift(_read_out, data, loss.code, m, fixed=sliding)
        else:
            drift = _Drift(self.activation.code, data.X, data.y, loss.code, m)

        def velocity(theta, out):
            risk = drift(theta, out)
            self.add_regularizer(regularizer, theta, 0.5 * strength, value, out)
            np.negative(out, out=out)
            return {"risk": risk, "regularization": strength * float(value.mean())}

        kinked = self.activation.code == RELU
        if not sliding or (not kinked and regularizer.code in SMOOTH):
            return velocity
        rules = regularizer.code, 0.5 * strength, m
        if can_multiply(self.activation):
            return PanelSlidingVelocity(velocity, drift, data.X, *rules)
        kinks, residuals = (data.X, drift.residuals) if kinked else (data.X[:0], drift.residuals[:0])
        return SlidingVelocity(velocity, kinks, residuals, *rules)

    def add_regularizer(self, regularizer, theta, scale, value, gradient):
        """Fill value (m,) with V(θ_i) and add scale·∇V(θ_i) to gradient (m, p)."""
        add_regularizer(regularizer.code, theta, scale, value, gradient)

    def regularizer_value(self, regularizer, theta):
        """Return V(θ_i), shape (m,)."""
        return regularizer.value(theta)

    def conserved(self, theta, regularizer):
        """Return k a² − ‖w‖², shape (m,), where the flow conserves it.

        That is for σ homogeneous of degree k without regulariser, and for k = 1 with the path norm too.
        """
        k = self.activation.homogeneity
        if k is None or not (regularizer.code == NONE or (k == 1 and regularizer.code == PATH_NORM)):
            return {}
        name = "a2_minus_w2" if k == 1 else f"{k}a2_minus_w2"
        return {name: k * theta[:, 0] ** 2 - np.sum(theta[:, 1:] ** 2, axis=1)}

    def describe(self):
        """Return the [model] table of a configuration, without the number of particles."""
        return {"kind": self.kind, "activation": self.activation.name}

    def __repr__(self):
        return f"TwoLayer({self.activation.name!r})"


class _ReluDrift(ReluDrift):
    """The data part of ∇G for relu."""

    def __call__(self, theta, out):
        risk = self.add_up(theta)
        _fill_gradient(theta, self.sums, out)
        return risk


@jit
def _read_out(columns, first, last, theta, f, bits):
    """Add Σ_i a_i relu(z_ij) to f at the data of the panels first, …, last − 1; mark the positive z."""
    zero = zeros(8)
    z = np.empty(BLOCK * PANEL)
    for start in range(0, len(theta), BLOCK):
        stop = min(start + BLOCK, len(theta))
        for p in range(first, last):
            multiply_panel(columns, p, theta, 1, start, stop, z)
            total = load(f, PANEL * p, zero)
            for i in range(start, stop):
                line = load(z, PANEL * (i - start), zero)
                total = multiply_add(spread(theta[i, 0], zero), ramp(line), total)
                bits[i, p] = positive(line)
            store(total, f, PANEL * p)


@jit
def _fill_gradient(theta, v, out):
    """Fill out with ∇_a = ⟨w, v⟩ and ∇_w = a v."""
    m, p = theta.shape
    for i in range(m):
        total = 0.0
        for k in range(p - 1):
            total += theta[i, 1 + k] * v[i, k]
            out[i, 1 + k] = theta[i, 0] * v[i, k]
        out[i, 0] = total


class _Drift:
    """The data part of ∇G for a fixed number of particles: buffers made once, work done by compiled kernels."""

    def __init__(self, activation, X, y, loss, m):
        n, d = X.shape
        if d > SMALL:
            # The kernel calls SciPy's BLAS: loaded now, so that a limit on its threads can reach it.
            import_module("scipy.linalg.cython_blas")
        self.codes = activation, loss
        self.X, self.y = X, y
        rows = 8 if d <= SMALL else max(16, min(256, 2**21 // m))
        self.rounds = rounds(n, rows, (4.0 * d + 20) * m, 8.0 * m * (2 * rows + 2 * d + 1))
        parts = len(self.rounds[0])
        self.cloud = np.empty((1 + d, m))
        self.buffers = [(np.empty((2, rows, m)), np.empty((d, m))) for _ in range(parts)]
        self.gradients, self.risks = np.empty((parts, 1 + d, m)), np.empty(parts)
        self.residuals = np.empty(n)

    def __call__(self, theta, out):
        self.cloud[...] = theta.T
        self.gradients[...] = self.risks[...] = 0.0
        for some in self.rounds:
            share(self._add, some)
        gradient = self.gradients[0]
        for of_part in self.gradients[1:]:
            gradient += of_part
        gradient[1:] *= self.cloud[0]
        out[...] = gradient.T
        return float(self.risks.sum())

    def _add(self, part, first, last):
        args = self.X, self.y, first, last, self.cloud, *self.buffers[part], self.gradients[part], self.residuals
        self.risks[part] += _accumulate(*self.codes, *args)


@jit
def _accumulate(activation, loss, X, y, start, stop, cloud, tile, product, gradient, residuals):
    """Add the data rows start..stop−1 to `gradient` (without the factor a of ∇_w); return their part of the risk.

    `residuals` (n,) receives ½ℓ'_j / n in those rows.
    """
    n = X.shape[0]
    m = cloud.shape[1]
    rows = tile.shape[1]
    f = np.empty(rows)
    risk = 0.0
    for first in range(start, stop, rows):
        count = min(rows, stop - first)
        x = X[first : first + count]
        z = tile[0, :count]
        slope = tile[1, :count]
        multiply(x, cloud[1:], z)
        activate(activation, z.reshape(-1), slope.reshape(-1))
        for i in range(count):
            total = 0.0
            for j in range(m):
                total += cloud[0, j] * z[i, j]
            f[i] = total / m
        r = residuals[first : first + count]
        loss_values(loss, f[:count], y[first : first + count], r)
        for i in range(count):
            risk += r[i]
        half_derivatives(loss, f[:count], y[first : first + count], r)
        for i in range(count):
            r[i] /= n
            for j in range(m):
                gradient[0, j] += r[i] * z[i, j]
                slope[i, j] *= r[i]
        add_transposed_product(x, slope, gradient[1:], product)
    return risk / n
