"""Fields of the arc-cosine kernel κ(w, v) = E[relu(⟨w, x⟩) relu(⟨v, x⟩)], x ~ N(0, I), over all pairs, in tiles.

With unit vectors ŵ, v̂ at the angle t (Cho & Saul 2009) ∇_w κ(w, v) = |v| (sin t ŵ + (π − t) v̂) / 2π. So a sum over
sources is two matrix products: cosines ŵ·v̂, then complements π − t times |v| v̂; and κ(w, ·) = ⟨w, ∇_w κ⟩, since κ is
homogeneous in w. Of the pairs of a cloud with itself each is looked at once. No (m, m) array is made.

`particleflow.models.population.pairwise_fields` is the same sum, pair by pair: what the tests compare with.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.lanes import aligned
from particleflow.panel_products import PANEL, ROWS, add_product
from particleflow.threads import pieces, share

GROUPS = 4  # of rows of tiles, shared among threads
TILE = 24 * ROWS  # whole panels too; a tile, and what it is multiplied with, fit the second-level cache
NEAR_PARALLEL = 1e-5  # 1 − |cos t| below which the difference of the unit vectors gives the angle; above, to 1e-13
_LAID_OUT = 2**16  # numbers that a thread lays out at once, about: whole panels
SMALLEST = 1e-300  # stands for 1 − |cos t| = 0, which would lose its sign


class ArcCosineSums:
    """Sums of the kernel over a cloud of vectors and over a teacher, for one cloud after another.

    Parameters
    ----------
    m, k, d : int
        How many vectors the cloud and the teacher have, and of what dimension.

    References
    ----------
    Cho & Saul (2009), "Kernel methods for deep learning".
    """

    def __init__(self, m, k, d):
        self._cloud, self._teacher = _Sources(m, d), _Sources(k, d)
        rows = len(self._cloud.units)
        groups = min(GROUPS, -(-rows // TILE))
        self._pieces = [(group,) for group in range(groups)]
        self._tiles, self._sines = aligned((groups, TILE * TILE)), aligned((groups, rows))
        self._pulls = aligned((groups, rows, PANEL * -(-d // PANEL)))

    def add_up(self, teacher, teacher_weights, W, weights, fields, pulls):
        """Fill fields_i = Σ_s weights_s κ(w_i, v_s) and pulls_i = Σ_s weights_s ∇_w κ(w_i, v_s).

        Parameters
        ----------
        teacher, teacher_weights : ndarray, shape (k, d) and (k,)
            The sources of the second field.
        W, weights : ndarray, shape (m, d) and (m,)
            The vectors w, which are the sources of the first field too.
        fields, pulls : ndarray, shape (2, m) and (2, m, d)
            To be filled.
        """
        self._teacher.fill(teacher, teacher_weights)
        self._cloud.fill(W, weights)
        own, teacher = self._cloud.arrays, self._teacher.arrays

        # a row of tiles adds to its column too: each group has sums of its own, added up in a fixed order
        def add(group):
            self._pulls[group] = self._sines[group] = 0.0
            for start in self._starts(group):
                add_tiles(own, own, start, True, self._tiles[group], self._pulls[group], self._sines[group])

        def complete(group):
            for start in self._starts(group):
                complete_rows(W, own, teacher, start, self._tiles[group], self._pulls, self._sines, fields, pulls)

        share(add, self._pieces)
        share(complete, self._pieces)

    def _starts(self, group):
        """Return the rows of tiles of a group; between two of them Python can react to a signal."""
        return range(group * TILE, self._sines.shape[1], len(self._sines) * TILE)


class _Sources:
    """Vectors laid out for the products; vectors that are 0 fill the last panel up."""

    def __init__(self, count, d):
        size = PANEL * -(-count // PANEL)
        self.units, self._columns = aligned((size, d)), aligned((size // PANEL, d, PANEL))
        self._masses, self._moments = aligned(size), aligned((-(-d // PANEL), size, PANEL))
        self.arrays = self.units, self._columns, self._masses, self._moments

    def fill(self, W, weights):
        some = PANEL * -(-_LAID_OUT // (PANEL * W.shape[1]))
        share(lambda first, last: lay_out(W, weights, first, last, *self.arrays), pieces(len(W), some))


@jit
def lay_out(W, weights, first, last, units, columns, masses, moments):
    """Fill the directions of the rows w, 0 for those that are 0, the same in panels; masses weight·|w|; moments."""
    for i in range(first, last):
        square = 0.0
        for k in range(W.shape[1]):
            square += W[i, k] * W[i, k]
        size = math.sqrt(square)
        masses[i] = weights[i] * size
        for k in range(W.shape[1]):
            unit = 0.0 if size == 0.0 else W[i, k] / size
            units[i, k] = columns[i // PANEL, k, i % PANEL] = unit
            moments[k // PANEL, i, k % PANEL] = masses[i] * unit


@jit
def complete_rows(W, cloud, teacher, start, numbers, sums, sines, fields, pulls):
    """Fill both fields and pulls for one row of tiles, from the sums of all groups; those of the first are lost."""
    stop = min(start + TILE, len(cloud[0]))
    gather(W, cloud[0], start, stop, sums, sines, fields[0], pulls[0])
    sums[0, start:stop] = 0.0
    sines[0, start:stop] = 0.0
    add_tiles(cloud, teacher, start, False, numbers, sums[0], sines[0])
    gather(W, cloud[0], start, stop, sums[:1], sines[:1], fields[1], pulls[1])


@jit
def gather(W, units, start, stop, sums, sines, field, pull):
    """Set pull_i = (Σ sums_i + Σ sines_i ŵ_i) / 2π over all groups, or 0 where w_i = 0, and field_i = ⟨w_i, pull_i⟩."""
    for i in range(start, min(stop, len(W))):
        sine, size, total = 0.0, 0.0, 0.0
        for group in range(len(sines)):
            sine += sines[group, i]
        for k in range(W.shape[1]):
            size += abs(units[i, k])
        for k in range(W.shape[1]):
            change = sine * units[i, k]
            for group in range(len(sums)):
                change += sums[group, i, k]
            pull[i, k] = 0.0 if size == 0.0 else change / (2.0 * math.pi)
            total += W[i, k] * pull[i, k]
        field[i] = total


@jit
def add_tiles(cloud, sources, start, symmetric, numbers, sums, sines):
    """Add Σ_s mass_s (π − t) v̂_s and Σ_s mass_s sin t for one row of tiles; if symmetric, for its column as well."""
    units, _, own_masses, own_moments = cloud
    others, columns, masses, moments = sources
    stop, d = min(start + TILE, len(units)), units.shape[1]
    left, count, spare = units[start:stop], stop - start, np.zeros((2, TILE))
    for first in range(start if symmetric else 0, len(others), TILE):
        last = min(first + TILE, len(others))
        right, number = others[first:last], last - first
        tile = numbers[: count * number].reshape((count, number))
        add_product(left, d, 1, columns[first // PANEL : last // PANEL], 0, d, tile, True)
        mirrored = symmetric and first > start
        opposite = own_masses[start:stop] if mirrored else spare[0, :count]
        across = sines[first:last] if mirrored else spare[1, :number]
        complements(tile, left, right, opposite, masses[first:last], sines[start:stop], across)
        add_product(tile, number, 1, moments, first, number, sums[start:stop], False)
        if mirrored:
            add_product(tile, 1, number, own_moments, start, count, sums[first:last], False)


@jit
def complements(tile, left, right, opposite, masses, sines, across):
    """Turn cosines into π − t, and add Σ_j masses_j sin t_ij to sines_i and Σ_i opposite_i sin t_ij to across_j."""
    for i in range(tile.shape[0]):
        row = tile[i]
        near = 0
        for j in range(len(row)):
            s = max(1.0 - abs(row[j]), SMALLEST)
            near += s < NEAR_PARALLEL
            row[j] = math.copysign(s, row[j])
        if near > 0:
            measure_differences(row, left[i], right)
        total, mass = 0.0, opposite[i]
        for j in range(len(row)):
            s = abs(row[j])
            sine = math.sqrt(s * (2.0 - s))
            total += masses[j] * sine
            across[j] += mass * sine
            quarter = math.copysign(0.5 * math.pi, row[j])
            row[j] = 0.5 * math.pi + quarter - math.copysign(math.sqrt(2.0 * s) * ratio(s), row[j])
        sines[i] += total


@jit
def measure_differences(row, unit, others):
    """Replace ±(1 − |cos t|) where it is small by ±|ŵ ∓ v̂|² / 2, which keeps its digits."""
    for j in range(len(row)):
        if abs(row[j]) < NEAR_PARALLEL:
            sign, square = math.copysign(1.0, row[j]), 0.0
            for k in range(len(unit)):
                square += (unit[k] - sign * others[j, k]) ** 2
            row[j] = math.copysign(max(0.5 * square, SMALLEST), sign)


@jit
def ratio(s):
    """Return arccos(1 − s) / √(2s) for 0 ≤ s ≤ 1, by its Chebyshev interpolant of degree 17: to 2e-16 and rounding."""
    p = 5.3808098398167465e-6 * s - 3.6946632563759546e-5
    p = p * s + 1.2100726393978694e-4
    p = p * s - 2.4256787149814154e-4
    p = p * s + 3.3365819930609243e-4
    p = p * s - 3.2620557069795710e-4
    p = p * s + 2.4170243545992032e-4
    p = p * s - 1.2117413285500441e-4
    p = p * s + 7.1793785457746660e-5
    p = p * s + 2.9080580157569670e-5
    p = p * s + 1.1269686358655027e-4
    p = p * s + 2.7055624287994030e-4
    p = p * s + 6.9919517854928900e-4
    p = p * s + 1.8988667002171430e-3
    p = p * s + 5.5803573595441150e-3
    p = p * s + 1.8749999994887395e-2
    p = p * s + 8.3333333333381000e-2
    return p * s + 1.0
