"""The gradient at the optimal matching is that of the penalty: the energy balance closes, also where matchings switch.

At a switch the penalty is the lesser of two smooth functions: continuous, with a kink. A jump of the energy would show
as a step over which it changes by more than its slope allows, 2 sup (∫|∇G|²)^½ · (∫|Δθ|²)^½.
"""

import math

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "L + γD descends along θ̇ = −∇G with the matching held: L(t) + 2∫₀ᵗ∫|∇G|² dμ ds = L(0)."
SOURCE = "this project, for the penalties of Lazarus 2022, §2.5.3 to §2.5.5"
EXPECTED = "holds"
TOLERANCE = 1e-8
TERMS = {"D": 2, "sum-w2": 3, "B": 3}
T_END, M, D = 3.0, 12, 2


class Steps(pf.Observer):
    """Energy, speed and matchings after every step; matchings are those of rows 1 to 2, and 2 to 3 if there are."""

    def start(self, info):
        """Begin a new list."""
        self._layout, self.rows = info.measure.layout, []

    def watch(self, state):
        """Note a step."""
        W = self._layout.split(np.array(state.theta))["W"]
        matchings = [pf.matching(W[:, k], W[:, k + 1]).tolist() for k in range(W.shape[1] - 1)]
        self.rows.append((state.t, state.energy, math.sqrt(state.speed), state.theta.copy(), matchings, state.dissipated))


def follow(term, s, rng):
    """Return the steps of one flow: a small erf network on random data, synchronised by one term."""
    X = rng.normal(size=(20, D))
    model = pf.ThreeLayer(s, "erf")
    penalty = pf.Synchronization(term, strength=0.5)
    energy = pf.EmpiricalEnergy(model, (X, np.sin(X[:, 0])), strength=1e-3, synchronization=penalty)
    layout = energy.layout
    start = pf.EmpiricalMeasure(rng.normal(size=(M, layout.size)), layout)
    steps = Steps()
    result = pf.solve(energy, start, T_END, rtol=1e-9, frames=50, observers=[steps])
    return steps.rows, result


def examine(term, s):
    """Return balance error, number of switches and the largest change at a switch relative to its bound."""
    steps, result = follow(term, s, np.random.default_rng(11))
    initial = result.observables["energy"][0]
    balance = float(np.abs(result.observables["balance"]).max() / initial)
    stretch = []
    for before, after in zip(steps, steps[1:], strict=False):
        if before[4] != after[4]:
            moved = math.sqrt(np.mean(np.sum((after[3] - before[3]) ** 2, axis=1)))
            stretch.append(abs(after[1] - before[1]) / (2 * max(before[2], after[2]) * moved))
    drift = [abs(step[1] + 2 * step[5] - initial) / initial for step in steps]
    return {
        "balance": max(balance, *drift),
        "switches": len(stretch),
        "change / bound": max(stretch, default=0.0),
        "times": [step[0] for step in steps],
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
    for term, flow in finding.numbers["flows"].items():
        axes.semilogy(flow["times"], np.maximum(flow["drift"], 1e-17), label=term)
    axes.legend()
    return drawn
