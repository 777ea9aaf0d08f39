"""The gradient at the optimal matching is that of the penalty: the energy balance closes, also where matchings switch.

At a switch the penalty is the lesser of two smooth functions: continuous, with a kink. A jump of the energy would show
as a step over which it changes by more than its slope allows, 2 sup (∫|∇G|²)^½ · (∫|Δθ|²)^½.
"""

import math
from itertools import pairwise

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "L + γD descends along θ̇ = −∇G with the matching held: L(t) + 2∫₀ᵗ∫|∇G|² dμ ds = L(0)."
SOURCE = "this project, for the penalties of Lazarus 2022, §2.5.3 to §2.5.5"
EXPECTED = "holds"
TOLERANCE = 1e-8
TERMS = {"D": 2, "sum-w2": 3, "B": 3}
T_END, M, N, D, STRENGTH = 0.4, 16, 12, 2, 0.05


class Steps(pf.Observer):
    """The state after every step, and the matchings of the transports that a penalty sums, recomputed."""

    def __init__(self, penalty):
        self.penalty = penalty

    def start(self, info):
        """Begin new lists."""
        self.layout, self.states, self.matchings = info.measure.layout, [], []

    def watch(self, state):
        """Note a step."""
        rows = self.layout.split(np.array(state.theta))["W"]
        sides = [
            [rows[:, side].reshape(len(rows), -1) for side in pair] for pair in self.penalty.transports(rows.shape[1])
        ]
        self.matchings.append([pf.matching(*pair).tolist() for pair in sides])
        self.states.append(state)


def follow(term, s, rng):
    """Return the steps of one flow and its result: a small erf network on random data, synchronised by one term."""
    X = rng.normal(size=(N, D))
    penalty = pf.Synchronization(term, strength=STRENGTH)
    model, y = pf.ThreeLayer(s, "erf"), 4 * np.sin(2 * X[:, 0])
    energy = pf.EmpiricalEnergy(model, (X, y), strength=1e-3, synchronization=penalty)
    start = pf.EmpiricalMeasure(rng.normal(size=(M, energy.layout.size)), energy.layout)
    steps = Steps(penalty)
    return steps, pf.solve(energy, start, T_END, rtol=1e-9, frames=20, observers=[steps])


def change_by_bound(before, after):
    """Return |ΔL| of a step relative to what the larger slope of its ends allows."""
    moved = math.sqrt(np.mean(np.sum((after.theta - before.theta) ** 2, axis=1)))
    return abs(after.energy - before.energy) / (2 * math.sqrt(max(before.speed, after.speed)) * moved)


def examine(term, s):
    """Return the balance error, the number of switches and the largest change of L at one relative to its bound."""
    steps, result = follow(term, s, np.random.default_rng(11))
    initial = result.observables["energy"][0]
    drift = [abs(state.energy + 2 * state.dissipated - initial) / initial for state in steps.states]
    pairs = zip(pairwise(steps.states), pairwise(steps.matchings), strict=True)
    changes = [change_by_bound(*states) for states, (old, new) in pairs if old != new]
    return {
        "balance": float(max(*drift, np.abs(result.observables["balance"]).max() / initial)),
        "switches": len(changes),
        "change / bound": max(changes, default=0.0),
        "times": [state.t for state in steps.states],
        "drift": drift,
    }


def check():
    """Follow one flow for each penalty."""
    found = {term: examine(term, s) for term, s in TERMS.items()}
    balance = max(one["balance"] for one in found.values())
    stretch = max(one["change / bound"] for one in found.values())
    switches = [one["switches"] for one in found.values()]
    closed = balance <= TOLERANCE and stretch <= 1.01
    return Finding(
        ("holds" if closed else "refuted") if min(switches) > 0 else "undecided",
        f"At rtol = 1e-9 the balance closes to {balance:.1e} L(0) with D, sum-w2 and B, across "
        f"{', '.join(map(str, switches))} switches of the matching; there the energy changes by at most {stretch:.2f} "
        "of what its slope allows.",
        {"balance / L(0)": balance, "change / bound at a switch": stretch, "switches": switches, "flows": found},
        TOLERANCE,
    )


def figure(finding):
    """Draw the balance along the three flows."""
    drawn, axes = half_page("flow time $t$", r"$|L + 2\int\!\int|\nabla G|^2 - L(0)|\,/\,L(0)$")
    axes.set_ylim(1e-15, 1e-7)
    for term, flow in finding.numbers["flows"].items():
        axes.semilogy(flow["times"], flow["drift"], label=term)
    axes.legend()
    return drawn
