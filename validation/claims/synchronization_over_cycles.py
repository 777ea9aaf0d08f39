"""The change of variable σ̃ = σ∘shift∘σ⁻¹ gives m-cycles only: what the assignment loses by forgetting that.

Upper bounds of D_cyc patch the cycles of the optimal assignment together. Why the difference vanishes for rows in a
bounded set: cover it by N cells of width ε and merge the cycles of any two clusters i, j whose first rows lie in one
cell, at a cost of 2⟨u_i^(1) − u_j^(1), u_σ(i)^(2) − u_σ(j)^(2)⟩ ≤ 2ε·diam. That leaves at most N cycles, each merged at
a bounded cost, so D_cyc − D_S(m) ≤ 2ε·diam + O(N/m).
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.enumeration import term
from validation.ledger import Finding

STATEMENT = "Two rows: D_cyc = (1/m) min over m-cycles σ of Σ_i ‖u_i^(1) − u_σ(i)^(2)‖² equals W2²(μ¹, μ²)."
SOURCE = "Lazarus 2022, §2.5.3"
EXPECTED = "holds in the limit"
TOLERANCE = 0.01
CLUSTERS = np.array([(0, 0), (1, 1)])[:, :, None]
DIMENSIONS = (1, 2, 5, 20)
SIZES = (20, 40, 80, 160, 320, 640)


def excess(rng, m, d):
    """Return an upper bound of D_cyc/D_S − 1, averaged over independent Gaussian rows."""
    rows = (rng.normal(size=(m, 2, d)) for _ in range(16 if m < 160 else 4))
    brackets = [pf.synchronization_bracket(one, cycles=True, seconds=0, rng=0) for one in rows]
    return float(np.mean([bracket.upper / bracket.bounds["B"] - 1 for bracket in brackets]))


def check():
    """Enumerate a counterexample, and follow the relative difference as m grows."""
    free, cyclic = term(CLUSTERS, (0, 1)), term(CLUSTERS, (0, 1), cycles=True)
    rng = np.random.default_rng(5)
    excesses = {d: [excess(rng, m, d) for m in SIZES] for d in DIMENSIONS}
    rates = {d: float(np.polyfit(np.log(SIZES), np.log(values), 1)[0]) for d, values in excesses.items()}
    values = np.array(list(excesses.values()))
    falling = bool((values[:, 2:] < values[:, :-2]).all()) and max(rates.values()) < 0
    last = float(values[:, -1].max())
    vanishes = falling and last <= TOLERANCE
    return Finding(
        ("holds in the limit" if vanishes else "refuted") if free < cyclic else "undecided",
        f"The clusters (0, 0), (1, 1) have D_S = {free} and D_cyc = {cyclic} exactly; for Gaussian rows "
        f"D_cyc/D_S − 1 is at most {last:.1g} at m = {SIZES[-1]} in every dimension and falls like m^p with p = "
        + ", ".join(f"{rate:.2f} (d = {d})" for d, rate in rates.items())
        + ".",
        {
            f"largest excess at m = {SIZES[-1]}": last,
            "dimensions": list(DIMENSIONS),
            "rates": list(rates.values()),
            "sizes": list(SIZES),
            "excesses": values.tolist(),
            "counterexample D_S, D_cyc": [float(free), float(cyclic)],
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the excess against m, one line a dimension."""
    drawn, axes = half_page("clusters $m$", r"$D_\mathrm{cyc}/D_S - 1$, at most", log=True)
    numbers = finding.numbers
    for d, rate, values in zip(numbers["dimensions"], numbers["rates"], numbers["excesses"], strict=True):
        axes.plot(numbers["sizes"], values, "o-", label=f"$d = {d}$:  $m^{{{rate:.2f}}}$")
    axes.set_xticks(numbers["sizes"], numbers["sizes"])
    axes.minorticks_off()
    axes.legend()
    return drawn
