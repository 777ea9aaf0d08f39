"""The global minimum by two roads that share no code: a conditional gradient, and a finite convex program.

Four kinds of targets in the plane (teacher, random, XOR, a noisy sine with bias), n = 10 to 60, λ = 1e-3 to 1e-1.
Needs CVXPY: ``pip install "particleflow[convex]"``.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = (
    "Over signed measures ν on the circle and over activation patterns D_i: min (1/n)Σℓ + λ|ν| = "
    "min (1/n)Σℓ(Σ_i D_i X(v_i − w_i)) + λΣ(‖v_i‖ + ‖w_i‖), (2D_i − I)Xv_i ≥ 0, (2D_i − I)Xw_i ≥ 0."
)
SOURCE = "Pilanci & Ergen 2020, Theorem 1; Bach 2017"
EXPECTED = "holds"
TOLERANCE = 1e-6
STRENGTHS = (1e-3, 1e-2, 1e-1, 3e-3, 3e-2)
SIZES = (10, 20, 30, 45, 60)


def targets(kind, n, rng):
    """Return data (n, 2), (n,) of one kind."""
    X = rng.normal(size=(n, 2))
    if kind == "teacher":
        return X, pf.TwoLayer("relu").predict(rng.normal(size=(3, 3)), X)
    if kind == "random":
        return X, rng.choice([-1.0, 1.0], n)
    if kind == "XOR":
        return X, np.sign(X[:, 0] * X[:, 1])
    x = rng.uniform(-1, 1, n)
    return np.column_stack([x, np.ones(n)]), np.sin(5 * x) + 0.1 * rng.normal(size=n)


def check():
    """Compare both roads on twenty instances; the first has a proved gap of its own."""
    rng, differences, gaps, cells = np.random.default_rng(0), {}, [], []
    for kind in ("teacher", "random", "XOR", "sine"):
        differences[kind] = []
        for n, strength in zip(SIZES, STRENGTHS, strict=True):
            data = targets(kind, n, rng)
            first = pf.global_minimum(data, strength=strength)
            second = pf.pattern_program(data, strength=strength)
            differences[kind].append(abs(second.energy - first.energy) / first.energy)
            gaps.append(first.relative_gap)
            cells.append(second.patterns)
    largest = float(max(map(max, differences.values())))
    return Finding(
        "holds" if largest <= TOLERANCE and max(gaps) <= TOLERANCE else "refuted",
        f"On {len(gaps)} instances with n = {min(SIZES)} to {max(SIZES)} (up to {max(cells)} patterns) the two minima "
        f"differ by at most {largest:.1e} relative; the conditional gradient proves its own to {max(gaps):.1e}.",
        {"largest difference": largest, "largest gap": max(gaps), "differences": differences, "strengths": STRENGTHS},
        TOLERANCE,
    )


def figure(finding):
    """Draw the relative differences against λ."""
    drawn, axes = half_page("regularisation $\\lambda$", "relative difference of the minima", log=True)
    for (kind, values), mark in zip(finding.numbers["differences"].items(), "osD^", strict=True):
        shown = np.maximum(values, 1e-16)
        axes.plot(finding.numbers["strengths"], shown, mark, label=kind, clip_on=False)
    axes.axhline(finding.tolerance, color="0.6", lw=0.8, ls="--")
    axes.set_ylim(1e-16, 1e-5)
    axes.legend(ncols=4, loc="lower center", handletextpad=0.2, columnspacing=1.2)
    return drawn
