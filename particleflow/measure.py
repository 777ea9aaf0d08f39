"""Empirical measures μ_m = (1/m) Σ δ_{θ_i}: the particles as one array with named blocks, and laws to start from.

The initial laws give two-layer particles θ = (a, w), a ∈ R, w ∈ R^d; `gaussian` and `uniform` give those of any
layout, `sphere` those of all networks.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.values import is_integer, is_real


@dataclass(frozen=True)
class Layout:
    """How the p numbers of one particle split into named blocks.

    Attributes
    ----------
    blocks : tuple of (name, axes)
        For each block its name and its axes, a tuple of (axis name, length) pairs; no axes make a number.
    period : float or None
        The length after which every coordinate repeats, for particles on a torus (R/period)^p; None in R^p.
    """

    blocks: tuple
    period: float | None = None

    @cached_property
    def size(self):
        """p, how many numbers make one particle."""
        return sum(self._length(axes) for _, axes in self.blocks)

    @property
    def names(self):
        """The names of the blocks, in order."""
        return tuple(name for name, _ in self.blocks)

    def split(self, particles):
        """Return the blocks of particles (m, p) as a dict of views of shape (m, *axes)."""
        views, start = {}, 0
        for name, axes in self.blocks:
            stop = start + self._length(axes)
            views[name] = particles[:, start:stop].reshape(len(particles), *(length for _, length in axes))
            start = stop
        return views

    def join(self, blocks):
        """Return particles (m, p) from a mapping of blocks of shape (m, *axes).

        Raises
        ------
        InvalidInput
            If a block is missing or has another shape than the layout says.
        """
        columns, m = [], None
        for name, axes in self.blocks:
            if name not in blocks:
                raise InvalidInput(f"block {name!r} is missing; the particles have the blocks {', '.join(self.names)}")
            block = np.asarray(blocks[name], dtype=np.float64)
            m = block.shape[0] if m is None and block.ndim else m
            expected = (m, *(length for _, length in axes))
            if block.shape != expected:
                raise InvalidInput(f"block {name!r} has shape {block.shape}, expected {expected}")
            columns.append(block.reshape(m, -1))
        return np.concatenate(columns, axis=1)

    @staticmethod
    def _length(axes):
        return int(np.prod([length for _, length in axes], dtype=np.int64))


def two_layer_layout(d):
    """Return the layout of θ = (a, w) with w ∈ R^d."""
    return Layout((("a", ()), ("w", (("feature", int(d)),))))


class EmpiricalMeasure:
    """The empirical measure (1/m) Σ δ_{θ_i} of m particles.

    Parameters
    ----------
    particles : array_like, shape (m, p)
        One row per particle; copied, and read-only afterwards.
    layout : Layout
        The named blocks of a row.

    Raises
    ------
    InvalidInput
        If there is no particle, the shape does not fit the layout, or a value is NaN or infinite.
    """

    def __init__(self, particles, layout):
        particles = np.array(particles, dtype=np.float64, order="C")
        if particles.ndim != 2 or particles.shape[1] != layout.size:
            raise InvalidInput(f"particles have shape {particles.shape}, expected (m, {layout.size})")
        if len(particles) == 0:
            raise InvalidInput("particles = 0: a measure needs at least one particle")
        if not np.isfinite(particles).all():
            row = int(np.flatnonzero(~np.isfinite(particles).all(axis=1))[0])
            raise InvalidInput(f"particle {row} has a value that is NaN or infinite")
        particles.flags.writeable = False
        self.particles = particles
        self.layout = layout

    @classmethod
    def from_blocks(cls, layout, **blocks):
        """Return the measure whose particles are made of the given blocks, each of shape (m, *axes)."""
        return cls(layout.join(blocks), layout)

    @property
    def m(self):
        """The number of particles."""
        return len(self.particles)

    def __len__(self):
        return self.m

    def __getitem__(self, block):
        """Return one block as a read-only view of shape (m, *axes)."""
        views = self.layout.split(self.particles)
        if block not in views:
            raise InvalidInput(f"block {block!r} is unknown; valid: {', '.join(views)}")
        return views[block]

    def integrate(self, function):
        """Return ∫ χ dμ for a function χ of particles: (m, p) → (m, ...)."""
        return np.mean(function(self.particles), axis=0)

    def push_forward(self, mapping):
        """Return T#μ, the image of the measure under a mapping T of particles: (m, p) → (m, p)."""
        return EmpiricalMeasure(mapping(self.particles), self.layout)

    def wrapped(self):
        """Return the measure with every coordinate taken modulo the period, in [0, period); in R^p the measure itself.

        On a torus particles move on its universal cover R^p, where a path has no jumps.
        """
        period = self.layout.period
        if period is None:
            return self
        positions = np.mod(self.particles, period)
        positions[positions == period] = 0.0  # what lies just below 0 is rounded up to the period
        return EmpiricalMeasure(positions, self.layout)

    def __repr__(self):
        shapes = ", ".join(f"{name} {view.shape[1:]}" if view.ndim > 1 else name for name, view in self._views())
        return f"EmpiricalMeasure(m={self.m}, blocks: {shapes})"

    def _views(self):
        return self.layout.split(self.particles).items()


# --- initial laws -----------------------------------------------------------------------------------------------------


def sphere(m, d, *, radius=1.0, rng):
    """Draw w uniformly on the unit sphere of R^d, with a = +radius and −radius in turn.

    The good start of Chizat & Bach (2018): for m → ∞ its support separates {−r0}×Θ from {r0}×Θ.
    For two hidden layers the start is balanced: each W_k is uniform on the sphere of radius r0, u_k = ±r0 with random
    signs and a = ±r0 √s in turn, so that a² = ‖u‖² and u_k² = ‖W_k‖².

    Parameters
    ----------
    m : int
        Number of particles.
    d : int or Layout
        Dimension of w, or the layout of a network's particles: blocks (a, w) or (a, u, W).
    radius : float
        r0 > 0.
    rng : int or numpy.random.Generator
        Seed or source of randomness.

    Returns
    -------
    EmpiricalMeasure
        m particles, (a, w) unless a layout says otherwise.

    Raises
    ------
    InvalidInput
        If m or d is not a positive integer, the layout is not that of a network, or the radius is not positive.
    """
    if not isinstance(d, Layout):
        _check(m, d, radius)
        return _two_layer(_alternating(m, radius), _directions(m, d, rng))
    _check(m, 1, radius)
    if d.names == ("a", "w"):
        return sphere(m, d.size - 1, radius=radius, rng=rng)
    if d.names != ("a", "u", "W"):
        raise InvalidInput(f"the sphere is not defined for particles with the blocks {', '.join(d.names)}")
    rng = np.random.default_rng(rng)
    u, W = ((m, *(length for _, length in axes)) for _, axes in d.blocks[1:])
    directions = rng.standard_normal(W)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    signs, a = rng.choice([-1.0, 1.0], size=u), _alternating(m, radius * np.sqrt(u[1]))
    return EmpiricalMeasure.from_blocks(d, a=a, u=radius * signs, W=radius * directions)


def gaussian(m, d, *, radius=1.0, rng):
    """Draw every entry of every particle independently from N(0, radius²).

    Parameters as in `sphere`, for any `Layout`.
    """
    layout = d if isinstance(d, Layout) else None
    _check(m, 1 if layout else d, radius)
    layout = layout or two_layer_layout(d)
    return EmpiricalMeasure(radius * np.random.default_rng(rng).standard_normal((m, layout.size)), layout)


def uniform(m, layout, *, low=0.0, high=None, rng):
    """Draw every entry of every particle independently and uniformly between two numbers.

    Parameters
    ----------
    m : int
        Number of particles.
    layout : Layout
        Their layout.
    low, high : float
        low < high; by default from 0 to 1, on a torus from `low` to `low` plus its period.
    rng : int or numpy.random.Generator
        Seed or source of randomness.

    Returns
    -------
    EmpiricalMeasure

    Raises
    ------
    InvalidInput
        If m is not a positive integer, or low and high are not finite numbers with low < high.
    """
    _check(m, 1, 1.0)
    if high is None:
        high = 1.0 if layout.period is None else low + layout.period
    if not (is_real(low) and is_real(high) and low < high and is_real(high - low)):
        raise InvalidInput(f"low = {low!r}, high = {high!r}: valid are finite numbers with low < high")
    return EmpiricalMeasure(np.random.default_rng(rng).uniform(low, high, (m, layout.size)), layout)


def half_sphere(m, d, *, radius=1.0, rng):
    """Like `sphere`, with w_1 ≥ 0 only: half of all directions are missing, a bad start.

    Parameters as in `sphere`; d is an integer.
    """
    _check(m, d, radius)
    w = _directions(m, d, rng)
    w[:, 0] = np.abs(w[:, 0])
    return _two_layer(_alternating(m, radius), w)


def one_signed(m, d, *, radius=1.0, rng):
    """Take a = +radius for every particle and w uniform on the sphere of radius radius/2: a bad start.

    With a 1-homogeneous activation and the path norm, a² − ‖w‖² > 0 is conserved: no a ever changes sign.
    Parameters as in `sphere`; d is an integer.
    """
    _check(m, d, radius)
    return _two_layer(np.full(m, float(radius)), 0.5 * radius * _directions(m, d, rng))


def circle_grid(m, d=2, *, radius=1.0, rng=None):
    """Place w on m/2 equally spaced directions of the circle, each carrying a = +radius and a = −radius.

    Deterministic (`rng` is not used), d = 2 only, m even. Parameters as in `sphere`.
    """
    _check(m, d, radius)
    if d != 2:
        raise InvalidInput(f"the circle grid needs d = 2 (a bias counts as a feature), found d = {d}")
    if m % 2:
        raise InvalidInput(f"the circle grid needs an even number of particles, found {m}")
    angles = np.repeat(2 * np.pi * np.arange(m // 2) / (m // 2), 2)
    return _two_layer(_alternating(m, radius), np.column_stack([np.cos(angles), np.sin(angles)]))


POINT_LAWS = {"gaussian": gaussian, "uniform": uniform}
"""The initial laws of points in R^d or on a torus, by name; those of networks follow."""

LAWS = {
    "sphere": sphere,
    "gaussian": gaussian,
    "half-sphere": half_sphere,
    "one-signed": one_signed,
    "circle-grid": circle_grid,
}


def measure_from_file(path, layout):
    """Read particles from a file.

    Parameters
    ----------
    path : str or Path
        ``.npz`` with one array per block, or ``.h5`` with one dataset per block (of a trajectory, the last frame).
    layout : Layout
        The blocks to read.

    Returns
    -------
    EmpiricalMeasure

    Raises
    ------
    InvalidInput
        If the file is missing, is not what its suffix says, or does not hold the blocks.
    """
    path = Path(path)
    readers = {".npz": _blocks_from_npz, ".h5": _blocks_from_hdf5}
    if path.suffix not in readers:
        raise InvalidInput(f"initial.file = {path.name!r} has an unknown suffix; valid: {', '.join(readers)}")
    try:
        if not path.is_file():
            raise ValueError(f"{str(path)!r} does not exist or is not a file")
        return EmpiricalMeasure(layout.join(readers[path.suffix](path, layout.names)), layout)
    except (OSError, ValueError, TypeError, AttributeError, LookupError, EOFError) as error:
        raise InvalidInput(f"initial.file = {path.name!r} cannot be read as {path.suffix[1:]}: {error}") from None


def _blocks_from_npz(path, names):
    try:
        archive = np.load(path, allow_pickle=False)
    except Exception as error:  # a damaged zip raises its own kinds
        raise ValueError(error) from None
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise ValueError("it holds a single array, not named ones")
    with archive:
        return {name: archive[name] for name in names if name in archive}


def _blocks_from_hdf5(path, names):
    import h5py

    with h5py.File(path, "r") as file:
        frames = "particles" in file
        group = file["particles"] if frames else file
        return {name: group[name][-1] if frames else group[name][...] for name in names if name in group}


def _check(m, d, radius):
    for name, value in (("particles", m), ("d", d)):
        if not is_integer(value):
            raise InvalidInput(f"{name} = {value!r}: valid are integers from 1")
    if not (is_real(radius) and radius > 0):
        raise InvalidInput(f"radius = {radius!r}: valid are finite numbers above 0")


def _two_layer(a, w):
    return EmpiricalMeasure.from_blocks(two_layer_layout(w.shape[1]), a=a, w=w)


def _alternating(m, radius):
    return radius * np.where(np.arange(m) % 2 == 0, 1.0, -1.0)


def _directions(m, d, rng):
    w = np.random.default_rng(rng).standard_normal((m, d))
    return w / np.linalg.norm(w, axis=1, keepdims=True)
