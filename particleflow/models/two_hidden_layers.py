"""Networks with two hidden layers, the second of which reads few neurons of the first (Lazarus 2022, §2.4, §2.5).

    f(x) = (1/m) Σ_i a_i σ(q_i),   q_i = Σ_k u_ik σ(z_S(i,k)),   z_q = ⟨W_q, x⟩.

The supports S say which first-layer neuron q = S(i, k) cluster i reads by its k-th weight; an edge is a pair (i, k).
Three-layer particles have s neurons of their own each, S(i, k) = i s + k; hard-synchronised ones share theirs.
With r = ½ℓ'(f, y) / n and g_i = r σ'(q_i), sums over the data understood,

    ∇_a_i = r σ(q_i),   ∇_u_ik = a_i g_i σ(z_q),   ∇_W_q = Σ_{(i,k): S(i,k) = q} a_i u_ik g_i σ'(z_q) x.

Two matrix products and few passes over tiles that lie in cache, neurons × a few rows of data: loops run along the data,
whatever m and s are, and a neuron's row is met by its readers without a gather.
"""

from importlib import import_module

import numpy as np

from particleflow.activations import RELU, activate, get_activation
from particleflow.errors import InvalidInput
from particleflow.jit import jit
from particleflow.losses import half_derivatives, loss_values
from particleflow.models.deep_sliding import DeepSlidingVelocity
from particleflow.models.edges import edges, pull_back, read
from particleflow.models.products import SMALL, add_product, multiply
from particleflow.regularizers import (
    NONE,
    PATH_NORM,
    SCALED_SQUARED_NORM,
    SMOOTH,
    add_regularizer,
    add_support_regularizer,
)
from particleflow.threads import rounds, share

# Numbers in a buffer of neurons × data rows.
_TILE = 2**18
NOTHING = np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)


class TwoHiddenLayers:
    """What three-layer and hard-synchronised networks share; see `particleflow.models.base.Model`.

    A row of the particles is θ_i = (a_i, u_i, `own` first-layer neurons). Subclasses set `s`, the length of u_i, and
    `own`, and give `supports_of` and `layout`.
    """

    def __init__(self, activation):
        self.activation = get_activation(activation)

    def admissible(self, theta):
        """Return particles (m, p) with the entries that are no parameters set to 0; here there are none."""
        return theta

    def features(self, theta, X):
        """Return φ_i(x_j) = a_i σ(Σ_k u_ik σ(⟨W_S(i,k), x_j⟩)), shape (m, n)."""
        a, u, W = self._split(self.admissible(np.asarray(theta, dtype=np.float64)))
        hidden, supports = self.activation.value(W @ X.T), np.maximum(self.supports_of(len(a)), 0)
        q = np.zeros((len(a), len(X)))
        for k in range(self.s):
            q += u[:, k, None] * hidden[supports[:, k]]
        return a[:, None] * self.activation.value(q)

    def predict(self, theta, X):
        """Return f(x_j) = (1/m) Σ_i φ_i(x_j), shape (n,); one tile of data at a time."""
        theta, X = np.asarray(theta, dtype=np.float64), np.asarray(X, dtype=np.float64)
        d = (theta.shape[1] - 1 - self.s) // self.own
        if X.ndim != 2 or X.shape[1] != d:
            raise InvalidInput(f"inputs have shape {X.shape}, expected (n, {d})")
        f = np.empty(len(X))
        rows = max(1, 2**22 // (len(theta) * self.own))
        for start in range(0, len(X), rows):
            tile = slice(start, start + rows)
            f[tile] = self._mean_features(theta, X[tile])
        return f

    def _mean_features(self, theta, X):
        return np.mean(self.features(theta, X), axis=0)

    def make_velocity(self, data, loss, regularizer, strength, m, *, sliding=True):
        """Return the compiled velocity of m particles; see `particleflow.models.base.Model`.

        It slides along the kinks of relu and of V (`particleflow.models.deep_sliding` lists them).
        """
        drift, value = self._make_drift(data, loss.code, m, fixed=sliding), np.empty(m)

        def velocity(theta, out):
            theta = self.admissible(theta)
            risk = drift(*self._split(theta), out)
            self.add_regularizer(regularizer, theta, 0.5 * strength, value, out)
            np.negative(out, out=out)
            return {"risk": risk, "regularization": strength * float(value.mean())}

        kinked = self.activation.code == RELU
        if not sliding or (not kinked and regularizer.code in SMOOTH):
            return velocity
        return DeepSlidingVelocity(velocity, drift, kinked, self.supports_of(m), self.own, regularizer.code, strength)

    def _make_drift(self, data, loss, m, *, fixed):
        """Return what computes the data part of ∇G; nobody exchanges the entries of `fixed` data."""
        return _Drift(self.activation.code, data, loss, self.supports_of(m), m * self.own)

    def add_regularizer(self, regularizer, theta, scale, value, gradient):
        """Fill value (m,) with V_i and add scale·∇Σ_i V_i to gradient (m, p)."""
        theta = self.admissible(theta)
        if regularizer.code in (PATH_NORM, SCALED_SQUARED_NORM):
            supports = self.supports_of(len(theta))
            add_support_regularizer(regularizer.code, supports, self.own, theta, scale, value, gradient)
        else:
            add_regularizer(regularizer.code, theta, scale, value, gradient)

    def regularizer_value(self, regularizer, theta):
        """Return V_i, shape (m,)."""
        theta = np.ascontiguousarray(theta, dtype=np.float64)
        value = np.empty(len(theta))
        self.add_regularizer(regularizer, theta, 0.0, value, np.zeros_like(theta))
        return value

    def conserved(self, theta, regularizer):
        """Return k a_i² − ‖u_i‖², and for each first-layer neuron k Σ u² − ‖W‖² with the sum over its readers.

        The flow conserves both for σ homogeneous of degree k without regulariser, and for k = 1 with the path norm too:
        by Euler's identity k a ∂_a φ_i = u_i·∂_u φ_i, and k Σ u_ik ∂_u_ik = W_q·∂_W_q over the edges that read q.
        """
        k = self.activation.homogeneity
        if k is None or not (regularizer.code == NONE or (k == 1 and regularizer.code == PATH_NORM)):
            return {}
        a, u, W = self._split(self.admissible(theta))
        supports = self.supports_of(len(a))
        edges = supports >= 0
        read = np.bincount(supports[edges], u[edges] ** 2, len(W))
        degree, second = ("" if k == 1 else k), k * read - np.sum(W**2, axis=1)
        return {
            f"{degree}a2_minus_u2": k * a**2 - np.sum(u**2, axis=1),
            f"{degree}u2_minus_W2": second.reshape(len(a), self.own) if self.own > 1 else second,
        }

    def _split(self, theta):
        """Return a (m,), u (m, s) and the first layer W (m·own, d)."""
        m, stop = len(theta), 1 + self.s
        return theta[:, 0], theta[:, 1:stop], np.ascontiguousarray(theta[:, stop:]).reshape(m * self.own, -1)


class _Drift:
    """The data part of ∇G for a fixed number of particles: buffers made once, work done by compiled kernels."""

    def __init__(self, activation, data, loss, supports, units):
        d, (m, s) = data.X.shape[1], supports.shape
        if d > SMALL:
            # The kernel calls SciPy's BLAS: loaded now, so that a limit on its threads can reach it.
            import_module("scipy.linalg.cython_blas")
        self.codes = activation, loss
        self.X, self.y = data.X, data.y
        self.graph = edges(supports, units)
        rows = max(16, min(256, _TILE // units // 8 * 8))
        numbers = (units + m) * 2 * rows + units * 2 * d + m * (1 + s)
        self.rounds = rounds(len(self.y), rows, (4.0 * d + 20) * units + 6 * m * s, 8.0 * numbers)
        self.tiles, self.gradients = [], []
        for _ in self.rounds[0]:
            layers = (np.empty(size * rows) for size in (units, units, m, m))
            self.tiles.append((np.empty(d * rows), *layers, np.empty((4, rows)), np.empty((units, d))))
            self.gradients.append((np.empty(m), np.empty(m * s), np.empty((units, d))))
        self.risks, self.residuals = np.empty(len(self.rounds[0])), np.empty(len(self.y))
        self.hide(NOTHING, NOTHING)

    def hide(self, first, second):
        """Take the slope 0 at these kinks from now on: pairs of arrays (neuron, datum) and (cluster, datum)."""
        orders = [np.argsort(datum, kind="stable") for _, datum in (first, second)]
        self.hidden = *(index[orders[0]] for index in first), *(index[orders[1]] for index in second)

    def __call__(self, a, u, W, out):
        network = np.ascontiguousarray(a), u.ravel(), W
        self.risks[...] = 0.0
        for gradient in self.gradients:
            for block in gradient:
                block[...] = 0.0

        def add(part, first, last):
            args = self.X, self.y, first, last, network, self.graph, self.tiles[part], self.gradients[part]
            self.risks[part] += _accumulate(*self.codes, *args, self.residuals, self.hidden)

        for some in self.rounds:
            share(add, some)
        for gradient in self.gradients[1:]:
            for block, of_part in zip(self.gradients[0], gradient, strict=True):
                block += of_part
        (m, s), (grad_a, grad_u, grad_W) = u.shape, self.gradients[0]
        out[:, 0] = grad_a
        np.multiply(a[:, None], grad_u.reshape(m, s), out=out[:, 1 : 1 + s])
        out[:, 1 + s :] = grad_W.reshape(m, -1)
        return float(self.risks.sum())


@jit
def _accumulate(activation, loss, X, y, start, stop, network, graph, tiles, gradient, residuals, hidden):
    """Add the data rows start..stop−1 to `gradient` (without the factor a of ∇_u); return their part of the risk.

    `residuals` (n,) receives ½ℓ'_j / n in those rows. The slopes at the `hidden` kinks are 0.
    """
    a, u, W = network
    grad_a, grad_u, grad_W = gradient
    columns, first_layer, first_slopes, second_layer, second_slopes, lines, product = tiles
    n, d = X.shape
    m, units, rows = a.size, W.shape[0], lines.shape[1]
    risk = 0.0
    for first in range(start, stop, rows):
        count = min(rows, stop - first)
        x = X[first : first + count]
        # contiguous also where the last tile is shorter
        x_columns = columns[: d * count].reshape(d, count)
        h = first_layer[: units * count].reshape(units, count)
        h_slope = first_slopes[: units * count].reshape(units, count)
        p = second_layer[: m * count].reshape(m, count)
        g = second_slopes[: m * count].reshape(m, count)
        f, r = lines[0, :count], lines[1, :count]
        for j in range(count):
            f[j] = 0.0
            for k in range(d):
                x_columns[k, j] = x[j, k]
        multiply(W, x_columns, h)
        activate(activation, h.reshape(-1), h_slope.reshape(-1))
        hide(hidden[0], hidden[1], first, h_slope)
        read(u, h, graph, p)
        activate(activation, p.reshape(-1), g.reshape(-1))
        hide(hidden[2], hidden[3], first, g)
        for i in range(m):
            for j in range(count):
                f[j] += a[i] / m * p[i, j]
        loss_values(loss, f, y[first : first + count], r)
        for j in range(count):
            risk += r[j]
        half_derivatives(loss, f, y[first : first + count], r)
        for j in range(count):
            r[j] /= n
            residuals[first + j] = r[j]
        for i in range(m):
            total = 0.0
            for j in range(count):
                total += r[j] * p[i, j]
                g[i, j] *= r[j]
            grad_a[i] += total
        pull_back(a, u, h, g, graph, lines[2, :count], h_slope, grad_u)
        add_product(h_slope, x, x_columns, grad_W, product)
    return risk / n


@jit
def hide(row, datum, first, slope):
    """Set slope (·, count) to 0 at the rows and data (sorted) that lie in this tile of data from `first` on."""
    for e in range(np.searchsorted(datum, first), np.searchsorted(datum, first + slope.shape[1])):
        slope[row[e], datum[e] - first] = 0.0
