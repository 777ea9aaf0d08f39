"""Hard-synchronised networks: three layers whose clusters read a shared first layer (Lazarus 2022, §2.5.1, §2.5.2)."""

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.measure import Layout
from particleflow.models.two_hidden_layers import TwoHiddenLayers
from particleflow.values import integers, is_integer


class HardSynchronized(TwoHiddenLayers):
    """The network f(x) = (1/m) Σ_i a_i σ(Σ_{k ∈ supp i} u_ik σ(⟨W_k, x⟩)) with one first layer W ∈ R^{m×d} for all i.

    A row of the particles holds cluster i and the i-th neuron of the first layer, θ_i = (a_i, u_i, W_i). Such rows are
    not exchangeable: the prediction is no integral of φ(θ, x). Every parameter moves on the one time scale,
    θ̇ = −(m/2) ∂L/∂θ, W included, so that dL/dt = −2 (1/m) Σ_i |θ̇_i|² as for the other networks.

    Parameters
    ----------
    supports : array_like of int, shape (m, s)
        Row i lists the neurons that cluster i reads, padded with −1. The weights u of padded places stay as they are
        and count nowhere.
    activation : str or Activation
        σ of both layers: "relu", "erf", "tanh", "sigmoid", "square" or "linear".

    Raises
    ------
    InvalidInput
        If the supports are not integers from −1 to m − 1 in m rows, if a row names a neuron twice, or there is no such
        activation.
    """

    kind = "hard-synchronized"
    parameters = ("supports",)
    exchangeable = False
    own = 1

    def __init__(self, supports, activation="relu"):
        super().__init__(activation)
        self.supports = _checked(supports)
        self._padded = self.supports < 0

    @property
    def m(self):
        """The number of clusters."""
        return len(self.supports)

    @property
    def s(self):
        """The length of u_i."""
        return self.supports.shape[1]

    def layout(self, d):
        """Return the layout of θ = (a, u, W) for inputs in R^d."""
        return Layout((("a", ()), ("u", (("sub_neuron", self.s),)), ("W", (("feature", int(d)),))))

    def supports_of(self, m):
        """Return the supports; m must be their number.

        Raises
        ------
        InvalidInput
            If it is not.
        """
        if m != self.m:
            raise InvalidInput(f"particles = {m}, but the supports of the hard-synchronized model are for {self.m}")
        return self.supports

    def admissible(self, theta):
        """Return particles (m, p) with 0 in the padded places of u."""
        padded = self._padded if len(theta) == self.m else self.supports_of(len(theta))
        if not padded.any():
            return theta
        theta = np.array(theta, dtype=np.float64)
        theta[:, 1 : 1 + self.s][padded] = 0.0
        return theta

    def describe(self):
        """Return the [model] table of a configuration, without the number of particles; files keep supports apart."""
        return {"kind": self.kind, "activation": self.activation.name, "s": self.s}

    def __repr__(self):
        return f"HardSynchronized(supports {self.supports.shape}, {self.activation.name!r})"


def _checked(supports):
    try:
        given = np.array(supports)
    except ValueError:  # rows of several lengths
        given = np.empty(0)
    if given.ndim != 2 or 0 in given.shape or not np.issubdtype(given.dtype, np.integer):
        raise InvalidInput(f"model.supports has shape {given.shape} and type {given.dtype}; valid: integers (m, s)")
    m = len(given)
    wrong = given[(given < -1) | (given >= m)]
    if wrong.size:
        raise InvalidInput(f"model.supports names neuron {wrong[0]}; valid are 0 to {m - 1}, and -1 for none")
    ordered = np.sort(given, axis=1)
    twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    if twice.any():
        raise InvalidInput(f"model.supports: row {int(np.flatnonzero(twice)[0])} names a neuron twice")
    given = given.astype(np.int64)
    given.flags.writeable = False
    return given


# --- supports ---------------------------------------------------------------------------------------------------------


def exact_supports(m, s, rng):
    """Draw for each of m clusters s distinct neurons, uniformly (Lazarus 2022, §2.5.1).

    Parameters
    ----------
    m, s : int
        Number of clusters, which is that of neurons, and how many of them a cluster reads.
    rng : int or numpy.random.Generator
        Seed or source of randomness.

    Returns
    -------
    ndarray of int, shape (m, s)

    Raises
    ------
    InvalidInput
        Unless 1 ≤ s ≤ m.
    """
    _check_sizes(m, s)
    rng = np.random.default_rng(rng)
    return np.array([np.sort(rng.choice(m, s, replace=False)) for _ in range(m)])


def bernoulli_supports(m, s, rng):
    """Let each of m clusters read each of m neurons with probability s/m, independently (Lazarus 2022, §2.5.2).

    Parameters and errors as in `exact_supports`; s is the mean number of neurons that a cluster reads; some
    clusters may read none.

    Returns
    -------
    ndarray of int, shape (m, s_max)
        Rows padded with −1; s_max ≥ 1.
    """
    _check_sizes(m, s)
    rng = np.random.default_rng(rng)
    sizes = rng.binomial(m, s / m, size=m)
    supports = np.full((m, max(1, sizes.max())), -1)
    for row, size in zip(supports, sizes, strict=True):
        row[:size] = np.sort(rng.choice(m, size, replace=False))
    return supports


def circulant_supports(m, offsets):
    """Let cluster q + o_k (mod m) read neuron q through its k-th weight, S(i, k) = i − o_k (Lazarus 2022, §2.5.3).

    Parameters
    ----------
    m : int
        Number of clusters.
    offsets : sequence of int
        o_1, …, o_s, different modulo m.

    Returns
    -------
    ndarray of int, shape (m, s)

    Raises
    ------
    InvalidInput
        If m is not a positive integer, or the offsets are not integers that differ modulo m.
    """
    given = np.array(integers("offsets", offsets))
    _check_sizes(m, 1)
    if len(np.unique(given % m)) < len(given):
        raise InvalidInput(f"offsets = {given.tolist()} name a neuron twice: they must differ modulo m = {m}")
    return (np.arange(m)[:, None] - given) % m


def _check_sizes(m, s):
    for name, value in (("m", m), ("s", s)):
        if not is_integer(value):
            raise InvalidInput(f"{name} = {value!r}: valid are integers from 1")
    if s > m:
        raise InvalidInput(f"s = {s}: a cluster reads at most m = {m} neurons")
