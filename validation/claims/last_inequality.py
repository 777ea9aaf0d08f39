"""The last inequality of the report, as it is printed.

μ^(1,2) against μ^(1,3) lets row 1 be matched with itself at no cost, and says nothing of row 1 against the others. One
cluster is enough; everything is computed in integers.
"""

import numpy as np

from validation.enumeration import sum_of_transports, transport
from validation.ledger import Finding

STATEMENT = "Three rows: W2²(μ¹,μ²) + W2²(μ²,μ³) + W2²(μ¹,μ³) ≤ W2²(μ^(1,2), μ^(1,3)) + W2²(μ²,μ³)."
SOURCE = "Lazarus 2022, §2.5.5"
EXPECTED = "refuted"
CLUSTER = np.array([(0, 1, 1)])[:, :, None]


def sides(rows):
    """Return the left and the right side."""
    return sum_of_transports(rows), transport(rows[:, [0, 1]], rows[:, [0, 2]]) + transport(rows[:, 1], rows[:, 2])


def check():
    """Enumerate the cluster (0, 1, 1), and count how often random clusters violate it too."""
    left, right = sides(CLUSTER)
    rng = np.random.default_rng(3)
    random = [sides(rng.normal(size=(rng.integers(1, 7), 3, rng.integers(1, 4)))) for _ in range(200)]
    share = float(np.mean([one > other * (1 + 1e-9) for one, other in random]))
    return Finding(
        "refuted" if left > right else "undecided",
        f"The rows (0, 1, 1) of one cluster have {left} on the left and {right} on the right, in exact arithmetic; it "
        f"also fails in {share:.0%} of 200 random instances.",
        {"left and right side": [float(left), float(right)], "share of random violations": share},
    )
