"""Three layers: the best energy that the flow reaches falls with the width m, and depends less and less on the start.

φ = a σ(Σ_k u_k σ(⟨W_k, x⟩)) with s = 2, relu and the path norm, on data of a smooth function of three features;
gradient descent (Euler) to one flow time from balanced starts. There is no certificate for three layers: that the limit
is the global minimum is what the report argues, and nothing here proves it. What a study of the width can show is
what would contradict convergence in m: energies that stay apart, or rise.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "Three layers: as m grows, L[μ_m(t)] at large t falls to one value, whatever the start."
SOURCE = "Lazarus 2022, §2.3 and §2.4"
EXPECTED = "holds in the limit"
TOLERANCE = 0.05
SIZES, SEEDS, N, D, S = (3, 6, 12, 25, 50, 100, 200), 5, 40, 3, 2
STRENGTH, T_END, STEP = 1e-2, 600.0, 0.1


def best_energies(energy, m):
    """Return the least energy of each flow, one a seed."""
    best = []
    for seed in range(SEEDS):
        start = pf.sphere(m, energy.layout, rng=seed)
        found = pf.solve(energy, start, T_END, method="euler", step=STEP, frames=60).observables
        best.append(float(found["energy"].min()))
    return best


def check():
    """Compare medians and spreads over five seeds for m = 3 to 200."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N, D))
    y = np.sin(2 * X[:, 0]) + 0.5 * X[:, 1] * X[:, 2]
    energy = pf.EmpiricalEnergy(pf.ThreeLayer(S, "relu"), (X, y), strength=STRENGTH)
    best = np.array([best_energies(energy, m) for m in SIZES])
    medians, last = np.median(best, axis=1), float(np.median(best[-1]))
    spreads = np.ptp(best, axis=1) / medians
    changes = medians[:-1] / medians[1:] - 1
    falls = bool(np.all(changes >= -TOLERANCE)) and spreads[-1] <= TOLERANCE and abs(changes[-1]) <= TOLERANCE
    apart = float(best[0].min() / last - 1)
    return Finding(
        ("holds in the limit" if apart > TOLERANCE else "holds") if falls else "refuted",
        f"With m = {', '.join(map(str, SIZES))} the median of the best energies is "
        f"{', '.join(f'{median:.4f}' for median in medians)}; their spread over {SEEDS} seeds falls from "
        f"{spreads[0]:.0%} to {spreads[-1]:.1%}. Three particles stay {apart:.0%} or more above {SIZES[-1]}.",
        {
            "spread at m = 200": float(spreads[-1]),
            "last change of the median": float(changes[-1]),
            "m": list(SIZES),
            "medians": medians.tolist(),
            "spreads": spreads.tolist(),
            "best energies": best.tolist(),
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the median and the band over seeds against m."""
    drawn, axes = half_page("particles $m$", r"least $L[\mu_m(t)]$ of a flow")
    axes.set_xscale("log")
    m, best = finding.numbers["m"], np.array(finding.numbers["best energies"])
    axes.fill_between(m, best.min(axis=1), best.max(axis=1), color="C1", alpha=0.25, lw=0, label=f"{SEEDS} seeds")
    axes.plot(m, finding.numbers["medians"], "o-", color="C1", label="median")
    axes.set_xticks(m, [f"{k}" for k in m])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.legend()
    return drawn
