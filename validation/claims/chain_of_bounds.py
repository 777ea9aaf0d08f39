"""The chain of bounds for three rows.

Each term of D_S(m) couples laws of rows, and is at least the minimum over the couplings of these laws. B keeps
together the two terms that see the same σ; D_cyc has fewer permutations to choose from.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.enumeration import joint_bound, sum_of_transports, term
from validation.ledger import Finding

STATEMENT = "Three rows: Σ_{k<l} W2²(μ^k, μ^l) ≤ B ≤ D_S(m) ≤ D_cyc, with B = W2²(μ^(1,3), μ^(2,1)) + W2²(μ², μ³)."
SOURCE = "this project"
EXPECTED = "holds"
TOLERANCE = 1e-12
OFFSETS = (0, 1, -1)
LINKS = ("B − ΣW2²", "D_S − B", "D_cyc − D_S")


def chain(rows):
    """Return the four quantities, by enumeration."""
    orders = term(rows, OFFSETS), term(rows, OFFSETS, cycles=True)
    return np.array([sum_of_transports(rows), joint_bound(rows), *orders])


def library(rows):
    """Return the four quantities as particleflow computes them."""
    values = pf.sum_w2_squared(rows), pf.bound_B(rows)
    return np.array([*values, *(pf.synchronization_term(rows, cycles=cycles)[0] for cycles in (False, True))])


def check():
    """Measure the margins, relative to D_S(m), on 200 random instances with 3 ≤ m ≤ 7."""
    rng, relative, differences = np.random.default_rng(2), [], []
    for _ in range(200):
        rows = rng.normal(size=(rng.integers(3, 8), 3, rng.integers(1, 5)))
        values = chain(rows)
        relative.append(values / values[2])
        differences.append(np.max(np.abs(library(rows) - values)) / values[2])
    margins = np.diff(relative, axis=1)
    least, difference = np.min(margins, axis=0), float(max(differences))
    strict = np.mean(margins > 1e-6, axis=0)
    return Finding(
        "holds" if least.min() >= -TOLERANCE and difference <= TOLERANCE else "refuted",
        f"On 200 random instances by enumeration no inequality fails (smallest margin {least.min():.1e}); they are "
        f"strict in {strict[0]:.0%}, {strict[1]:.0%} and {strict[2]:.0%}, and particleflow's four values are the "
        f"enumerated ones to {difference:.1e}.",
        {
            "smallest margin": float(least.min()),
            "smallest margins": dict(zip(LINKS, least.tolist(), strict=True)),
            "values relative to D_S": np.array(relative).T.tolist(),
            "mean margins": dict(zip(LINKS, np.mean(margins, axis=0).tolist(), strict=True)),
            "largest difference to particleflow": difference,
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw how tight each bound is, over all instances from the least to the greatest ratio."""
    drawn, axes = half_page("share of the instances", r"value / $D_S(m)$")
    names = r"$\Sigma\,W_2^2$", "$B$", "$D_S$", r"$D_\mathrm{cyc}$"
    for name, values in zip(names, finding.numbers["values relative to D_S"], strict=True):
        axes.plot(np.arange(1, len(values) + 1) / len(values), np.sort(values), label=name)
    axes.set_ylim(0, 2.5)
    axes.legend()
    return drawn
