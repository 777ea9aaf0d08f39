"""Three-layer networks: φ(θ, x) = a σ(Σ_k u_k σ(⟨W_k, x⟩)), θ = (a, u, W) ∈ R × R^s × R^{s×d} (Lazarus 2022, §2.4)."""

import math

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.jit import jit
from particleflow.lanes import load, multiply_add, positive, ramp, spread, store, zeros
from particleflow.measure import Layout
from particleflow.models.edges import edges
from particleflow.models.relu_products import BLOCK, PANEL, ReluDrift, can_multiply, evaluate, multiply_panel
from particleflow.models.two_hidden_layers import NOTHING, TwoHiddenLayers
from particleflow.values import is_integer


class ThreeLayer(TwoHiddenLayers):
    """The three-layer mean-field network f_μ(x) = ∫ a σ(Σ_k u_k σ(⟨W_k, x⟩)) μ(da, du, dW).

    Parameters
    ----------
    s : int
        Neurons of the first layer that each particle has for itself.
    activation : str or Activation
        σ of both layers: "relu", "erf", "tanh", "sigmoid", "square" or "linear".

    Raises
    ------
    InvalidInput
        If s is not a positive integer or there is no such activation.
    """

    kind = "three-layer"
    parameters = ("s",)
    exchangeable = True

    def __init__(self, s, activation="relu"):
        super().__init__(activation)
        if not is_integer(s):
            raise InvalidInput(f"model.s = {s!r}: valid are integers from 1")
        self.s = self.own = int(s)

    def layout(self, d):
        """Return the layout of θ = (a, u, W) for inputs in R^d."""
        neurons = ("sub_neuron", self.s)
        return Layout((("a", ()), ("u", (neurons,)), ("W", (neurons, ("feature", int(d))))))

    def supports_of(self, m):
        """Return the supports of m particles, (m, s): S(i, k) = i s + k."""
        return np.arange(m * self.s).reshape(m, self.s)

    def feature_gradients(self, theta, X):
        """Return ∇φ(θ_i, x_j), shape (m, n, p).

        With q = Σ_k u_k σ(⟨W_k, x⟩) it is (σ(q), a σ'(q) σ(⟨W_k, x⟩), a σ'(q) u_k σ'(⟨W_k, x⟩) x).
        """
        theta = np.asarray(theta, dtype=np.float64)
        a, u, W = self._split(theta)
        z = (W @ X.T).reshape(len(a), self.s, len(X)).transpose(0, 2, 1)
        hidden, slope = self.activation.value(z), self.activation.derivative(z)
        q = np.einsum("mk,mnk->mn", u, hidden)
        outer = (a[:, None] * self.activation.derivative(q))[:, :, None]
        along_W = (outer * u[:, None, :] * slope)[:, :, :, None] * X[None, :, None, :]
        blocks = self.activation.value(q)[:, :, None], outer * hidden, along_W.reshape(len(a), len(X), -1)
        return np.concatenate(blocks, axis=2)

    def describe(self):
        """Return the [model] table of a configuration, without the number of particles."""
        return {"kind": self.kind, "activation": self.activation.name, "s": self.s}

    def _mean_features(self, theta, X):
        if not can_multiply(self.activation):
            return super()._mean_features(theta, X)
        return evaluate(_read_out, X, len(theta) * self.s, *self._split(theta)) / len(theta)

    def _make_drift(self, data, loss, m, *, fixed):
        if can_multiply(self.activation):
            return _ReluDrift(data, loss, self.supports_of(m), fixed=fixed)
        return super()._make_drift(data, loss, m, fixed=fixed)

    def __repr__(self):
        return f"ThreeLayer({self.s}, {self.activation.name!r})"


class _ReluDrift(ReluDrift):
    """The data part of ∇G for relu.

    With V_ik = Σ_j r_j 1[q_ij > 0] 1[z_ikj > 0] x_j, by homogeneity in both layers,

    ∇_W_ik = a_i u_ik V_ik,   ∇_u_ik = a_i ⟨W_ik, V_ik⟩,   ∇_a_i = Σ_k u_ik ⟨W_ik, V_ik⟩.
    """

    def __init__(self, data, loss, supports, *, fixed):
        super().__init__(_read_out, data, loss, *supports.shape, fixed=fixed)
        self.graph, self.s = edges(supports, supports.size), supports.shape[1]
        self.hide(NOTHING, NOTHING)

    def hide(self, first, second):
        """Take the slope 0 at these kinks from now on: pairs of arrays (neuron, datum) and (cluster, datum)."""
        self.hidden = *first, *second

    def unmark(self, first, last, first_panel, last_panel, bits):
        """Clear the bits of hidden kinks."""
        _unmark(*self.hidden, first, last, PANEL * first_panel, PANEL * last_panel, self.s, bits)

    def __call__(self, a, u, W, out):
        risk = self.add_up(a, u, W)
        _fill_gradient(a, u, W, self.sums, out)
        return risk


@jit
def _read_out(columns, first, last, a, u, W, f, bits):
    """Add Σ_i a_i relu(q_ij) to f at the data of the panels first, …, last − 1; mark the neurons it goes through."""
    m, s = u.shape
    zero = zeros(8)
    # clusters whose neurons fill the registers: multiples of six
    block = 6 // math.gcd(s, 6)
    block *= max(1, BLOCK // (s * block))
    z = np.empty(block * s * PANEL)
    for start in range(0, m, block):
        stop = min(start + block, m)
        for p in range(first, last):
            multiply_panel(columns, p, W, 0, start * s, stop * s, z)
            total = load(f, PANEL * p, zero)
            for i in range(start, stop):
                at = (i - start) * s * PANEL
                q = zero
                for k in range(s):
                    q = multiply_add(spread(u[i, k], zero), ramp(load(z, at + k * PANEL, zero)), q)
                total = multiply_add(spread(a[i], zero), ramp(q), total)
                through = positive(q)
                for k in range(s):
                    bits[i * s + k, p] = positive(load(z, at + k * PANEL, zero)) & through
            store(total, f, PANEL * p)


@jit
def _unmark(neuron, first_datum, cluster, second_datum, first, last, begin, end, s, bits):
    """Clear the bits of neurons at data, and of all neurons of clusters at data: clusters first, …, last − 1 alone.

    Of the data those from `begin` to `end` − 1.
    """
    for e in range(neuron.size):
        j = first_datum[e]
        if first * s <= neuron[e] < last * s and begin <= j < end:
            bits[neuron[e] - first * s, j // PANEL] &= ~(1 << (j % PANEL))
    for e in range(cluster.size):
        j = second_datum[e]
        if first <= cluster[e] < last and begin <= j < end:
            for k in range((cluster[e] - first) * s, (cluster[e] + 1 - first) * s):
                bits[k, j // PANEL] &= ~(1 << (j % PANEL))


@jit
def _fill_gradient(a, u, W, V, out):
    m, s = u.shape
    d = W.shape[1]
    for i in range(m):
        out[i, 0] = 0.0
        for k in range(s):
            inner = 0.0
            start = 1 + s + k * d
            for c in range(d):
                inner += W[i * s + k, c] * V[i * s + k, c]
                out[i, start + c] = a[i] * u[i, k] * V[i * s + k, c]
            out[i, 1 + k] = a[i] * inner
            out[i, 0] += u[i, k] * inner
