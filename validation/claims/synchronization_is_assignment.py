"""For two rows the synchronisation term is a linear assignment.

With σ̃ any permutation, Σ_i ‖u_i^(1) − u_σ̃(i)^(2)‖² is the cost of a coupling of two uniform measures, and an optimal
coupling may be taken to be a permutation (Birkhoff). Small m are enumerated; for large m the dual prices
u_i + v_j ≤ ‖u_i^(1) − u_j^(2)‖² prove the minimum.
"""

import numpy as np

import particleflow as pf
from validation.enumeration import term
from validation.ledger import Finding

STATEMENT = "Two rows: D_S(m) = (1/m) min_σ Σ_i ‖u_i^(1) − u_σ(i)^(2)‖² = W2²(μ¹, μ²)."
SOURCE = "Lazarus 2022, §2.5.3"
EXPECTED = "holds"
TOLERANCE = 1e-12


def enumerated(rng, instances=200):
    """Return the largest relative difference between the enumeration and W2², over random rows of up to 7 clusters."""
    worst = 0.0
    for _ in range(instances):
        rows = rng.normal(size=(rng.integers(2, 8), 2, rng.integers(1, 5)))
        exact = term(rows, (0, 1))
        worst = max(worst, abs(pf.w2_squared(rows[:, 0], rows[:, 1]) - exact) / exact)
    return worst


def certified(rng, m, q=3):
    """Return how far the cost of the permutation found is from the dual bound recomputed here, relative."""
    rows = rng.normal(size=(m, 2, q))
    plan = pf.coupling(rows[:, 0], rows[:, 1])
    costs = np.square(rows[:, None, 0] - rows[None, :, 1]).sum(axis=-1)
    u = plan.potentials[0]
    v = (costs - u[:, None]).min(axis=0)  # feasible whatever u is
    primal = costs[np.arange(m), plan.permutation].mean()
    return float(primal - (u.mean() + v.mean())) / primal


def check():
    """Compare W2² with all permutations for m ≤ 7, and with its dual bound for m = 50, 100, 200."""
    rng = np.random.default_rng(0)
    difference, gaps = enumerated(rng), [certified(rng, m) for m in (50, 100, 200)]
    verdict = "holds" if max(difference, *map(abs, gaps)) <= TOLERANCE else "refuted"
    return Finding(
        verdict,
        f"On 200 random instances with m ≤ 7 the minimum over all permutations and W2² differ by {difference:.1e} at "
        f"most; for m = 50, 100, 200 the dual proves the permutation optimal to {max(gaps):.1e}.",
        {"largest difference": difference, "duality gaps": gaps},
        TOLERANCE,
    )
