"""The theorem of Chizat & Bach on three problems in the plane: gaps that are certified fall with m and with t.

From `pf.sphere`, whose support separates for m → ∞. Two bounds of L − min L: the duality gap of the measure itself
(`pf.certify`), and the excess over the lower bound of a conditional gradient (`pf.global_minimum`). relu violates the
differentiability that the theorem asks for (`pf.check_hypotheses`); the conclusion is seen all the same.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "lim_{t, m → ∞} L[μ_m(t)] = min over μ of L, from a start whose support separates."
SOURCE = "Chizat & Bach 2018, §3; Lazarus 2022, §2.2.2"
EXPECTED = "holds in the limit"
TOLERANCE = 0.03
SIZES, TIMES, N = (5, 10, 20, 50, 200, 500), (2.0, 20.0, 200.0, 2000.0), 30


def problems():
    """Return data and λ by name: a noisy sine with bias, XOR, and a teacher of three neurons."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, N)
    yield "sine", (np.column_stack([x, np.ones(N)]), np.sin(5 * x) + 0.1 * rng.normal(size=N)), 1e-2
    X = rng.normal(size=(N, 2))
    yield "XOR", (X, np.sign(X[:, 0] * X[:, 1])), 3e-2
    X = rng.normal(size=(N, 2))
    yield "teacher", (X, pf.TwoLayer("relu").predict(rng.normal(size=(3, 3)), X)), 1e-2


def flow(data, strength, m):
    """Return the energies and the certified relative gaps at the times."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=strength)
    start = pf.sphere(m, 2, rng=0)
    found = pf.solve(energy, start, TIMES[-1], rtol=1e-3, frames=TIMES, observers=[pf.CertifiedGap()]).observables
    return found["energy"][1:], found["relative_gap"][1:]


def listed(numbers, form):
    """Return numbers as words."""
    return ", ".join(format(number, form) for number in numbers)


def check():
    """Certify the gap for m = 5 to 500 at four times on three problems."""
    gaps, excesses = np.empty((2, 3, len(SIZES), len(TIMES)))
    for k, (_, data, strength) in enumerate(problems()):
        least = pf.global_minimum(data, strength=strength).lower_bound
        for i, m in enumerate(SIZES):
            energies, gaps[k, i] = flow(data, strength, m)
            excesses[k, i] = energies / least - 1
    worst, excess = gaps.max(axis=0), excesses.max(axis=0)
    few, many = float(excesses[:, 0, -1].min()), float(worst[-1, -1])
    falls = bool(np.all(np.diff(worst[-1]) < 0))
    holds = many <= TOLERANCE and falls
    return Finding(
        ("holds in the limit" if few > TOLERANCE else "holds") if holds else "refuted",
        f"At t = {TIMES[-1]:g} five particles are {few:.0%} or more above the minimum on all three problems; 500 have "
        f"certified gaps of at most {many:.1%} (true excess at most {excess[-1, -1]:.2%}). The largest gap of 500 at "
        f"t = {listed(TIMES, 'g')} is {listed(worst[-1], '.3f')}.",
        {
            "largest gap at m = 500": many,
            "least excess at m = 5": few,
            "largest excess at m = 500": float(excess[-1, -1]),
            "m": list(SIZES),
            "t": list(TIMES),
            "largest gaps": worst.T.tolist(),
            "largest excesses": excess.T.tolist(),
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the largest gap of the three problems against m, a line for each time."""
    drawn, axes = half_page("particles $m$", "largest certified relative gap", log=True)
    numbers = finding.numbers
    for k, (t, gaps) in enumerate(zip(numbers["t"], numbers["largest gaps"], strict=True)):
        axes.plot(numbers["m"], gaps, "o-", color=f"C{k}", label=f"$t = {t:g}$")
    axes.plot(numbers["m"], numbers["largest excesses"][-1], "s--", color=f"C{k}", lw=0.9, label="over min $L$")
    axes.axhline(finding.tolerance, color="0.6", lw=0.8, ls=":")
    axes.set_xticks(numbers["m"], [f"{m}" for m in numbers["m"]])
    axes.minorticks_off()
    axes.legend(loc="lower left")
    return drawn
