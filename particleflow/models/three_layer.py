"""Three-layer networks: φ(θ, x) = a σ(Σ_k u_k σ(⟨W_k, x⟩)), θ = (a, u, W) ∈ R × R^s × R^{s×d} (Lazarus 2022, §2.4)."""

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.measure import Layout
from particleflow.models.two_hidden_layers import TwoHiddenLayers
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

    def __repr__(self):
        return f"ThreeLayer({self.s}, {self.activation.name!r})"
