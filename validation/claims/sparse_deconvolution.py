"""Sparse deconvolution needs hardly more particles than there are spikes.

The set-up is that of the script `success_deconv1D.jl` of Chizat 2022, in units of R/Z: ½‖D_8∗(ν − ρ)‖² + λ|ν| with λ =
0.3, five spikes of masses uniform in [0, 1], m particles of mass ¼/m at equal distances, 1000 steps of mirror descent
with α = 0.002 and β = α/2 (on a circle of length 2π). Differences: spikes are at least 0.1 apart, and success is
proved instead of being relative to the best run. Of a dual p with sup η_p ≤ λ, η_p(x) = Σ_k Re p_k e^{2πikx}, no
measure has less than ⟨p, y⟩ − ½‖p‖²; p is y − ν̂ of the best run, scaled. The same is done for spikes of both signs,
with two particles of opposite signs at each place, and |η_p| ≤ λ.
"""

import math

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = (
    "Torus, Dirichlet kernel of order 8, 5 spikes, λ = 0.3, conic metric, mirror retraction: the global minimum is "
    "reached from m = 6 particles in most problems, and from m = 8 in nearly all."
)
SOURCE = "Chizat 2022 (arXiv:1907.10300), experiments on sparse deconvolution in 1-D"
EXPECTED = "holds"
ORDER, SPIKES, STRENGTH, SEPARATION, PROBLEMS = 8, 5, 0.3, 0.1, 12
STEP, STEPS, RATIO = 0.002, 1000, 0.5
COUNTS = {False: (4, 5, 6, 7, 8, 9, 10), True: (4, 5, 6, 7, 8)}  # of places, of positive and of signed spikes
TOLERANCE = 0.02
FREQUENCIES = np.arange(-ORDER, ORDER + 1)
GRID = 4096


def spikes(seed, signed):
    """Return places (5,) on R/Z and masses (5,)."""
    rng = np.random.default_rng(seed)
    places = np.sort(rng.uniform(size=SPIKES))
    while np.diff(np.append(places, places[0] + 1)).min() < SEPARATION:
        places = np.sort(rng.uniform(size=SPIKES))
    masses = rng.uniform(size=SPIKES)
    return places, (0.5 + 0.5 * masses) * rng.choice([-1, 1], SPIKES) if signed else masses


def coefficients(places, masses):
    """Return the Fourier coefficients of spikes that pass the filter, shape (17,)."""
    return np.exp(-2j * np.pi * np.outer(FREQUENCIES, places)) @ masses


def descend(places, masses, count, signed):
    """Return the measure after mirror descent; L is twice the objective, so its λ is twice the one above."""
    metric = pf.ConicMetric(masses=1.0, positions=RATIO / (2 * math.pi) ** 2)
    energy = pf.ConicEnergy(pf.dirichlet(ORDER, places, masses), 1, strength=2 * STRENGTH, metric=metric)
    signs = np.array([1.0, -1.0] if signed else [1.0])
    grid = np.repeat(np.arange(count) / count, len(signs))
    start = pf.EmpiricalMeasure.from_blocks(energy.layout, r=0.5 * np.tile(signs, count), x=grid[:, None])
    return pf.solve(energy, start, STEP * STEPS, method="mirror", step=STEP, frames=1).measure


def bracket(measure, target, signed):
    """Return the objective of a measure and the lower bound of all objectives that it proves."""
    r = measure["r"]
    masses = r * np.abs(r) / measure.m
    p = target - coefficients(measure["x"][:, 0], masses)
    value = 0.5 * np.sum(np.abs(p) ** 2) + STRENGTH * np.sum(np.abs(masses))
    eta = (np.exp(2j * np.pi * np.outer(np.arange(GRID) / GRID, FREQUENCIES)) @ p).real
    between = np.sum((2 * np.pi * FREQUENCIES) ** 2 * np.abs(p)) / (8 * GRID**2)  # a maximum is flat: Taylor
    sup = (np.abs(eta).max() if signed else eta.max()) + between
    inner, square = np.vdot(p, target).real, np.sum(np.abs(p) ** 2)
    scale = min(inner / square, STRENGTH / sup) if sup > 0 else inner / square
    return float(value), float(scale * inner - 0.5 * scale**2 * square)


def excesses(signed):
    """Return how far above the proved minimum each run ended, relative to it, shape (problems, counts)."""
    rows = []
    for seed in range(PROBLEMS):
        places, masses = spikes(seed, signed)
        target = coefficients(places, masses)
        runs = [bracket(descend(places, masses, count, signed), target, signed) for count in COUNTS[signed]]
        values, bounds = np.array(runs).T
        rows.append(values / bounds.max() - 1)
    return np.array(rows)


def check():
    """Count the problems that are solved to 2 %, for each number of particles; positive spikes decide."""
    found = {signed: excesses(signed) for signed in (False, True)}
    rates = {signed: np.mean(excess <= TOLERANCE, axis=0) for signed, excess in found.items()}
    proved = max(float(excess.min(axis=1).max()) for excess in found.values())
    rate = dict(zip(COUNTS[False], rates[False].tolist(), strict=True))
    switches = rate[4] <= rate[5] < 0.5 < rate[6] and min(rate[count] for count in rate if count >= 8) >= 0.9
    signed = ", ".join(f"{share:.0%}" for share in rates[True][1:4])
    return Finding(
        ("holds" if switches else "refuted") if proved <= 0.5 * TOLERANCE else "undecided",
        f"Of {PROBLEMS} problems {rate[5]:.0%} are solved to {TOLERANCE:.0%} with 5 particles, {rate[6]:.0%} with 6, "
        f"{rate[7]:.0%} with 7 and {rate[8]:.0%} with 8; of those with spikes of both signs, with two particles at "
        f"each of 5, 6, 7 places, {signed}. The minimum of each problem is proved to {proved:.1%}.",
        {
            "solved with 5, 6, 8": [rate[5], rate[6], rate[8]],
            "positive": rates[False].tolist(),
            "signed": rates[True].tolist(),
            "proved to": proved,
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the share of problems solved against the number of places."""
    drawn, axes = half_page("places on the grid at the start", "problems solved")
    for signed, name, style in ((False, "positive", "o-"), (True, "signed", "s--")):
        label = "both signs, two particles a place" if signed else "positive spikes"
        axes.plot(COUNTS[signed], finding.numbers[name], style, label=label)
    axes.axvline(SPIKES, color="0.6", linestyle=":", linewidth=1)
    axes.text(SPIKES - 0.1, 0.98, "5 spikes", ha="right", va="top", size="small")
    axes.set_yticks([0, 0.5, 1], ["0", "½", "all"])
    axes.legend(loc="lower right")
    return drawn
