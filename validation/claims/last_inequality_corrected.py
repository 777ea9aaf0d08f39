"""The last inequality of the report with the rows in the order that a common σ gives them.

Proof: a coupling of μ^(1,3) with μ^(2,1) couples μ¹ with μ² and μ³ with μ¹, so it costs at least W2²(μ¹,μ²) +
W2²(μ³,μ¹).
"""

import numpy as np

import particleflow as pf
from validation.enumeration import joint_bound, sum_of_transports
from validation.ledger import Finding

STATEMENT = "Three rows: W2²(μ¹,μ²) + W2²(μ²,μ³) + W2²(μ¹,μ³) ≤ W2²(μ^(1,3), μ^(2,1)) + W2²(μ²,μ³) = B."
SOURCE = "Lazarus 2022, §2.5.5, corrected"
EXPECTED = "holds"
TOLERANCE = 1e-12


def margin(total, bound):
    """Return by how much the right side is larger, relative to it."""
    return float((bound - total) / bound)


def check():
    """Measure the margin on 200 random instances with m ≤ 7, enumerated, and on larger ones by optimal transport."""
    rng = np.random.default_rng(4)
    small = [rng.normal(size=(rng.integers(1, 8), 3, rng.integers(1, 5))) for _ in range(200)]
    large = [rng.normal(size=(m, 3, q)) for m in (50, 100, 200) for q in (1, 3, 10)]
    enumerated = [margin(sum_of_transports(rows), joint_bound(rows)) for rows in small]
    computed = [margin(pf.sum_w2_squared(rows), pf.bound_B(rows)) for rows in large]
    least = min(enumerated + computed)
    return Finding(
        "holds" if least >= -TOLERANCE else "refuted",
        f"It holds on all of 200 enumerated and {len(large)} larger random instances (m up to 200): the smallest "
        f"margin, {least:.1e} of the right side, is that of one cluster, where both sides are the same sum.",
        {"smallest margin": least, "median margin": float(np.median(enumerated)), "margins of large m": computed},
        TOLERANCE,
    )
