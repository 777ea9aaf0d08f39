"""The conjecture that the laws of the single rows control the synchronisation term, and four clusters against it.

In (0,0,0), (0,0,1), (1,1,0), (1,1,1) every row takes 0 and 1 twice, so all W2² vanish; but a cluster that is read
through row 1 as 0 or 1 is read through row 2 alike, and row 3 is free of both: no order puts all three in line.
Everything is computed in integers.
"""

import numpy as np

import particleflow as pf
from validation.enumeration import joint_bound, sum_of_transports, term
from validation.ledger import Finding

STATEMENT = "Three rows and more: D ≤ Σ_{k<l} W2²(μ^k, μ^l), possibly up to a constant factor."
SOURCE = "Lazarus 2022, §2.5.5"
EXPECTED = "refuted"
CLUSTERS = np.array([(0, 0, 0), (0, 0, 1), (1, 1, 0), (1, 1, 1)])[:, :, None]
OFFSETS = (0, 1, -1)


def check():
    """Enumerate the counterexample; a sum of 0 below a D above 0 leaves no constant."""
    total, joint = sum_of_transports(CLUSTERS), joint_bound(CLUSTERS)
    free, cyclic = term(CLUSTERS, OFFSETS), term(CLUSTERS, OFFSETS, cycles=True)
    found = pf.sum_w2_squared(CLUSTERS), pf.bound_B(CLUSTERS), pf.synchronization_term(CLUSTERS)[0]
    return Finding(
        "refuted" if total == 0 < free <= cyclic else "undecided",
        f"The clusters (0,0,0), (0,0,1), (1,1,0), (1,1,1) have Σ W2² = {total}, B = {joint}, D_S(4) = {free} and "
        f"D_cyc = {cyclic}, in exact arithmetic.",
        {
            "D_S(4), Σ W2²": [float(free), float(total)],
            "B": float(joint),
            "D_cyc": float(cyclic),
            "Σ W2², B, D_S(4) of particleflow": list(found),
        },
    )
