"""The limit of the synchronisation term for three rows is a linear program over laws of (X_{−1}, X_0, X_1).

A permutation σ of m clusters gives such a law, that of (σ⁻¹(i), i, σ(i)), so D_S(m) is never below the program; with
more copies of the same clusters more laws are within reach. The value is 0 exactly for laws of (Z_t, Z_{t−1}, Z_{t+1})
of a stationary process Z: the joint law of the rows decides, not their marginals.
"""

from itertools import product

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.enumeration import term
from validation.ledger import Finding

STATEMENT = (
    "Three rows: D_S(m) = min E[‖X_0¹ − X_1²‖² + ‖X_1² − X_{−1}³‖² + ‖X_{−1}³ − X_0¹‖²] over laws with X_0 ~ μ and "
    "(X_{−1}, X_0) ~ (X_0, X_1)."
)
SOURCE = "this project, after Lazarus 2022, §2.5.4"
EXPECTED = "holds in the limit"
TOLERANCE = 1e-8
CLUSTERS = np.array([(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)])[:, :, None]
OFFSETS = (0, 1, -1)
COPIES = (1, 2, 3, 4)
STATES = np.array([(0.0, 0.0), (1.0, 0.0), (0.3, 0.8)])
CHAIN = np.array([(0.5, 0.25, 0.25), (0.125, 0.5, 0.375), (0.25, 0.625, 0.125)])


def coin():
    """Return the program of three fair coins, independent; their marginals are those of the clusters above."""
    return pf.mean_field_program(np.array(list(product((0.0, 1.0), repeat=3)))[:, :, None])


def chain(places):
    """Return the program of the law of (Z_{t+p} for p in places), from a stationary Markov chain in the plane."""
    masses = np.linalg.matrix_power(CHAIN, 200)[0]
    paths = list(product(range(3), repeat=3))  # (Z_{t−1}, Z_t, Z_{t+1})
    weights = np.array([masses[x] * CHAIN[x, y] * CHAIN[y, z] for x, y, z in paths])
    support = STATES[np.array(paths)][:, [1 + place for place in places]]
    return pf.mean_field_program(support, weights)


def excesses(clusters):
    """Return D_S/limit − 1, at most, of copies of clusters: by enumeration, above eight by search."""
    limit, values = pf.mean_field_program(clusters), []
    for count in COPIES:
        rows = np.repeat(clusters, count, axis=0)
        few = len(rows) <= 8
        values.append(term(rows, OFFSETS) if few else pf.synchronization_bracket(rows, rng=0).upper)
    return [float(value) / limit - 1 for value in values]


def check():
    """Compare the program with one and two copies of four clusters, and laws that have the same marginals."""
    program = pf.mean_field_program(CLUSTERS)
    one, two = term(CLUSTERS, OFFSETS), term(np.repeat(CLUSTERS, 2, axis=0), OFFSETS)
    stationary = [coin(), chain((0, -1, 1))]
    others = [program, chain((0, 0, 1))]
    rng = np.random.default_rng(0)
    random = [excesses(rng.normal(size=(6, 3, 5))) for _ in range(5)]
    reached = abs(program - two) <= TOLERANCE and np.min(random) >= -TOLERANCE
    closer = all(values[-1] <= values[0] + TOLERANCE for values in random)
    far, near = (max(values[place] for values in random) for place in (0, -1))
    vanishes = max(map(abs, stationary)) <= TOLERANCE < 1e-3 < min(others)
    return Finding(
        ("holds in the limit" if reached and closer and vanishes else "refuted") if program < one else "undecided",
        f"For the clusters (0,0,0), (0,0,1), (1,1,0), (1,1,1) the program is {program:.6f}, one copy has {one} and two "
        f"copies have {two}; for six random clusters one copy is up to {far:.1%} above its limit and four copies are "
        f"{near:.1%}; laws of stationary processes give {max(stationary):.0e}, others with the "
        f"same marginals {others[0]:.3f} and {others[1]:.3f}.",
        {
            "program, D_S(4), D_S(8)": [program, float(one), float(two)],
            "stationary": stationary,
            "same marginals": others,
            "copies": list(COPIES),
            "excesses of random clusters": random,
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw how far copies of the clusters stay above the limit."""
    drawn, axes = half_page("copies of the clusters", r"$D_S(m)$ / limit $-$ 1, at most")
    numbers = finding.numbers
    for values in numbers["excesses of random clusters"]:
        axes.plot(numbers["copies"], values, "o-", clip_on=False)
    axes.set_ylim(bottom=0)
    axes.set_xticks(numbers["copies"])
    return drawn
