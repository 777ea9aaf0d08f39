"""How many particles learn a teacher of m_0 neurons: some multiple of m_0 is reliable.

Population risk of x ~ N(0, I_d), d = 20, relu, no regulariser; f* = Σ_k relu(⟨w*_k, x⟩), unit vectors w*_k at random.
Particles start with a = ±1, signs at random and ‖w‖ = ½: then a² − ‖w‖² = ¾ is conserved and no sign changes, so that
m_0 particles of the teacher's sign are needed. Success is L/L(0) < 1e-4 before t = 500.
"""

import math

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "From m ≥ 5 m_0 particles the flow learns a teacher of m_0 neurons, L/L(0) < 1e-4."
SOURCE = "Chizat & Bach 2018, §4 (particle complexity)"
EXPECTED = "holds"
TOLERANCE = 0.05  # of failures
D, NEURONS, SEEDS, T_END, SUCCESS = 20, 4, 30, 500.0, 1e-4
SIZES = (4, 6, 8, 10, 12, 16, 20, 28)


def unit(rows):
    """Return rows divided by their norms."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def trial(m, seed):
    """Return whether a flow succeeds, and whether enough particles have the sign of the teacher's neurons."""
    rng = np.random.default_rng((seed, m))
    teacher = np.column_stack([np.full(NEURONS, float(NEURONS)), unit(rng.normal(size=(NEURONS, D)))])
    energy = pf.PopulationEnergy(pf.TwoLayer("relu"), teacher)
    a = rng.choice([-1.0, 1.0], m)
    start = pf.EmpiricalMeasure.from_blocks(energy.layout, a=a, w=0.5 * unit(rng.normal(size=(m, D))))
    target = SUCCESS * energy.value(start.particles)
    end = pf.solve(energy, start, T_END, rtol=1e-3, frames=1, observers=[pf.EnergyBelow(target)]).measure
    return energy.value(end.particles) <= target, np.sum(a > 0) >= NEURONS


def chance(m):
    """Return the chance that at least m_0 of m random signs are positive."""
    return sum(math.comb(m, k) for k in range(NEURONS, m + 1)) / 2**m


def check():
    """Count successes over 30 teachers and starts for each m."""
    outcomes = np.array([[trial(m, seed) for seed in range(SEEDS)] for m in SIZES])
    rates = outcomes[:, :, 0].mean(axis=1)
    agree = float(np.mean(outcomes[:, :, 0] == outcomes[:, :, 1]))
    many = np.array(SIZES) >= 5 * NEURONS
    worst = float(rates[many].min())
    return Finding(
        "holds" if worst >= 1 - TOLERANCE else "refuted",
        f"Of {SEEDS} teachers and starts each {', '.join(f'{rate:.0%}' for rate in rates)} succeed with "
        f"m = {', '.join(map(str, SIZES))}; {agree:.1%} of all outcomes are told by whether m_0 = {NEURONS} or more "
        "particles start with the sign of the teacher.",
        {
            "success at m ≥ 5 m_0": worst,
            "m": list(SIZES),
            "success": rates.tolist(),
            "told by the signs": agree,
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the share of successes against m, with the chance of enough positive signs."""
    drawn, axes = half_page("particles $m$", r"share with $L/L(0) < 10^{-4}$")
    numbers = finding.numbers
    m = np.arange(NEURONS, SIZES[-1] + 1)
    axes.plot(m, [chance(k) for k in m], color="C0", lw=1, label="$m_0$ positive signs")
    axes.plot(numbers["m"], numbers["success"], "o", color="C1", clip_on=False, label=f"{SEEDS} flows each")
    axes.axvline(5 * NEURONS, color="0.6", lw=0.8, ls=":")
    axes.annotate("$5\\,m_0$", (5 * NEURONS, 0.1), (4, 0), textcoords="offset points")
    axes.set_ylim(0, 1.02)
    axes.legend(loc=(0.3, 0.12))
    return drawn
