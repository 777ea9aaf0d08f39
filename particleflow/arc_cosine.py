"""Fields of the arc-cosine kernel κ(w, v) = E[relu(⟨w, x⟩) relu(⟨v, x⟩)], x ~ N(0, I), over all pairs, in tiles.

With unit vectors ŵ, v̂ at the angle t (Cho & Saul 2009) ∇_w κ(w, v) = |v| (sin t ŵ + (π − t) v̂) / 2π. So a sum over
sources is two matrix products: cosines ŵ·v̂, then complements π − t times |v| v̂; and κ(w, ·) = ⟨w, ∇_w κ⟩, since κ is
homogeneous in w. Of the pairs of a cloud with itself each is looked at once. No (m, m) array is made.

`particleflow.models.population.pairwise_fields` is the same sum, pair by pair: what the tests compare with.
"""

import math

import numpy as np

from particleflow.jit import jit
from particleflow.threads import share

GROUPS = 4  # of rows of tiles, shared among threads
TILE = 256  # its square in float64 fits the second-level cache
NEAR_PARALLEL = 1e-5  # 1 − |cos t| below which the difference of the unit vectors gives the angle; above, to 1e-13
SMALLEST = 1e-300  # stands for 1 − |cos t| = 0, which would lose its sign


def arc_cosine_fields(W, weights, teacher, teacher_weights, fields, pulls):
    """Sum over a cloud and a teacher: fields_i = Σ_s weights_s κ(w_i, v_s), pulls_i = Σ_s weights_s ∇_w κ(w_i, v_s).

    Parameters
    ----------
    W : ndarray, shape (m, d)
        The vectors w, which are the sources of the first field too.
    weights : ndarray, shape (m,)
        Of these sources.
    teacher, teacher_weights : ndarray, shape (k, d) and (k,)
        The sources of the second field.
    fields, pulls : ndarray, shape (2, m) and (2, m, d)
        To be filled.

    References
    ----------
    Cho & Saul (2009), "Kernel methods for deep learning".
    """
    units, sizes = _unit_vectors(W)
    sources, lengths = _unit_vectors(teacher)
    _sum_over(units, units, weights * sizes, pulls[0])
    _sum_over(units, sources, teacher_weights * lengths, pulls[1])
    pulls /= 2 * math.pi
    pulls[:, sizes == 0.0] = 0.0
    np.einsum("id,kid->ki", W, pulls, out=fields)


def _unit_vectors(W):
    """Return the directions of the rows, 0 for those that are 0, and their lengths."""
    sizes = np.sqrt(np.einsum("id,id->i", W, W))
    return W / np.where(sizes == 0.0, 1.0, sizes)[:, None], sizes


def _sum_over(units, sources, masses, pull):
    symmetric, moments, rows = units is sources, masses[:, None] * sources, -(-len(units) // TILE)
    groups, sines = min(GROUPS, rows), np.zeros(len(units))
    pull[...] = 0.0
    # a row of tiles adds to its column too: each group has sums of its own, added up in a fixed order
    sums = [(np.zeros_like(pull), np.zeros_like(sines)) if symmetric else (pull, sines) for _ in range(groups)]

    def add(group):
        for row in range(group, rows, groups):  # in between Python can react to a signal
            add_tiles(units, sources, masses, moments, TILE * row, symmetric, *sums[group])

    share(add, [(group,) for group in range(groups)])
    if symmetric:
        for part, of_sines in sums:
            pull += part
            sines += of_sines
    pull += sines[:, None] * units


@jit
def add_tiles(units, sources, masses, moments, start, symmetric, pull, sines):
    """Add Σ_s mass_s (π − t) v̂_s and Σ_s mass_s sin t for one row of tiles; if symmetric, for its column as well."""
    stop, d = min(start + TILE, len(units)), units.shape[1]
    left, count = units[start:stop], stop - start
    numbers, product, spare = np.empty(TILE * TILE), np.empty(TILE * d), np.zeros((2, TILE))
    for first in range(start if symmetric else 0, len(sources), TILE):
        last = min(first + TILE, len(sources))
        right, number = sources[first:last], last - first
        tile = numbers[: count * number].reshape((count, number))
        np.dot(left, right.T, tile)
        mirrored = symmetric and first > start
        opposite = masses[start:stop] if mirrored else spare[0, :count]
        across = sines[first:last] if mirrored else spare[1, :number]
        complements(tile, left, right, opposite, masses[first:last], sines[start:stop], across)
        change = product[: count * d].reshape((count, d))
        np.dot(tile, moments[first:last], change)
        pull[start:stop] += change
        if mirrored:
            change = product[: number * d].reshape((number, d))
            np.dot(tile.T, moments[start:stop], change)
            pull[first:last] += change


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
