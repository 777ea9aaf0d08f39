"""Minima of the population risk in closed form, reached by the flow and never passed.

relu, x ~ N(0, I_d), path norm. For the teacher A relu(⟨u, x⟩) take its neuron with the mass |A| − λ: the energy is
½λ² + λ(|A| − λ), since E[relu(⟨u, x⟩)²] = ½, and 2G(θ) = λ|a|‖w‖ − 2λ sign(A) a κ(u, w) ≥ 0, since κ(u, w) ≤ ½‖w‖: by
convexity it is the minimum. A neuron in the opposite direction is never active at once with it, and both costs add up.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = (
    "min L = λ|A| − λ²/2 for the teacher A relu(⟨u, x⟩), λ ≤ |A|; with B relu(−⟨u, x⟩) added, λ ≤ |A|, |B|, "
    "min L = λ(|A| + |B|) − λ²."
)
SOURCE = "this project"
EXPECTED = "holds"
TOLERANCE = 1e-4
CASES = ((2, 1.0, 0.0, 0.1), (10, -2.0, 0.0, 0.5), (10, 1.0, 0.0, 0.9), (5, 1.0, -1.5, 0.2), (20, 1.0, 0.6, 0.3))
M, T_END = 60, 400.0


def problem(d, A, B, strength):
    """Return energy and minimum of a case (d, A, B, λ)."""
    u = np.random.default_rng(d).normal(size=d)
    u /= np.linalg.norm(u)
    neurons = [(A, *u)] if B == 0 else [(2 * A, *u), (2 * B, *-u)]  # f* is a mean over the neurons
    energy = pf.PopulationEnergy(pf.TwoLayer("relu"), np.array(neurons), strength=strength)
    return energy, strength * abs(A) - strength**2 / 2 + (strength * abs(B) - strength**2 / 2 if B else 0.0)


def check():
    """Examine the network that should be the minimum, its potential and its neighbours, and follow five flows."""
    rng, curves, below, built, lowest, on_support = np.random.default_rng(0), {}, np.inf, 0.0, np.inf, 0.0
    for d, A, B, strength in CASES:
        energy, least = problem(d, A, B, strength)
        found = pf.solve(energy, pf.sphere(M, d, rng=0), T_END, rtol=1e-4, frames=40).observables
        excess = found["energy"] / least - 1
        below = min(below, float(excess.min()))
        shrunk = np.array(energy.teacher)
        shrunk[:, 0] -= len(shrunk) * strength * np.sign(shrunk[:, 0])
        theta = rng.normal(size=(5000, 1 + d))
        theta /= np.linalg.norm(theta, axis=1, keepdims=True)
        G = energy.potential(np.vstack([theta, shrunk]), pf.EmpiricalMeasure(shrunk, energy.layout))
        lowest, on_support = (
            min(lowest, float(G[: len(theta)].min())),
            max(on_support, float(np.abs(G[len(theta) :]).max())),
        )
        built = max(built, abs(energy.value(shrunk) / least - 1))
        around = [energy.value(shrunk + s * rng.normal(size=shrunk.shape)) for s in np.geomspace(1e-4, 1, 200)]
        below = min(below, float(np.min(around) / least - 1))
        curves[f"d = {d}, A = {A:g}, B = {B:g}, λ = {strength:g}"] = (found["time"].tolist(), excess.tolist())
    last = max(excess[-1] for _, excess in curves.values())
    optimal = built <= 1e-12 and lowest >= -1e-12 and on_support <= 1e-12
    reached = last <= TOLERANCE and below >= -1e-12
    return Finding(
        "holds" if optimal and reached else "refuted",
        f"The network named has that energy to {built:.0e}, with G ≥ {lowest:.0e} at random particles and |G| ≤ "
        f"{on_support:.0e} at its own; five flows of {M} particles come within {last:.0e} of it, relative, and neither "
        f"they nor {200 * len(CASES)} networks around it are below.",
        {"largest excess": last, "least excess": below, "error of the energy": built, "flows": curves},
        TOLERANCE,
    )


def figure(finding):
    """Draw the excess over the minimum along the flows."""
    drawn, axes = half_page("flow time $t$", r"$L[\mu_t]\,/\,\min L - 1$", log=True)
    for name, (time, excess) in finding.numbers["flows"].items():
        label = ", ".join(f"${part}$" for part in name.replace("λ", r"\lambda").split(", "))
        axes.plot(time[1:], np.maximum(excess[1:], 1e-14), label=label)
    axes.set_ylim(1e-10, None)
    axes.legend(loc="lower left", fontsize="x-small")
    return drawn
