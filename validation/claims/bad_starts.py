"""Starts that do not separate: the flow stays above the global minimum, which an independent optimum proves.

- One sign: from a = 1, ‖w‖ = ½ no a can change its sign, since a² − ‖w‖² = ¾ is conserved. (From |a| = ‖w‖ steps of
  finite length let signs flip.) So f ≥ 0 for every m and t, and L ≥ (1/n) Σ_j min(y_j, 0)²: a proof, no measurement.
- All directions w in a narrow arc: observed to come to rest.
- Half of the directions alone is only mildly bad: relu(−z) = relu(z) − z, so that the missing half costs a linear
  function, and particles turn.

"Above the minimum" is said only where `pf.global_minimum` holds a network of smaller energy.
"""

import math

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "lim_{t, m → ∞} L[μ_m(t)] = min over μ of L, from every start."
SOURCE = "against Chizat & Bach 2018, §3, without its hypothesis on the support"
EXPECTED = "refuted"
TOLERANCE = 0.1
M, N, STRENGTH, T_END, ARC = 100, 40, 1e-2, 1000.0, math.radians(20)


def starts(layout):
    """Return initial measures by name, with |a| = 1 and ‖w‖ = ½."""
    signs = np.where(np.arange(M) % 2 == 0, 1.0, -1.0)
    angles = np.random.default_rng(0).uniform(-math.pi, math.pi, M)

    def measure(a, angles):
        w = 0.5 * np.column_stack([np.cos(angles), np.sin(angles)])
        return pf.EmpiricalMeasure.from_blocks(layout, a=a, w=w)

    return {
        "both signs, all directions": measure(signs, angles),
        "half of the directions": measure(signs, 0.5 * angles),
        "one sign": measure(np.ones(M), angles),
        "an arc of 20°": measure(signs, math.pi / 2 + ARC / (2 * math.pi) * angles),
    }


def check():
    """Follow the four starts on a noisy sine, and compare them with the minimum."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, N)
    data = np.column_stack([x, np.ones(N)]), np.sin(5 * x) + 0.1 * rng.normal(size=N)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, strength=STRENGTH)
    least = pf.global_minimum(data, strength=STRENGTH).energy  # that of a network
    excesses, separation, flows, flat = {}, {}, {}, {}
    for name, start in starts(energy.layout).items():
        found = pf.solve(energy, start, T_END, rtol=1e-4, frames=60).observables
        excess = found["energy"] / least - 1
        half = np.searchsorted(found["time"], T_END / 2)
        excesses[name], flat[name] = float(excess[-1]), float(excess[half] - excess[-1])
        separation[name] = pf.check_hypotheses(energy, start)["separation"].verdict
        flows[name] = {"time": found["time"].tolist(), "excess": excess.tolist()}
    good, half, one, arc = excesses.values()
    proved = float(np.mean(np.minimum(data[1], 0.0) ** 2)) / least - 1
    bad = min(one, arc)
    settled = max(flat["one sign"], flat["an arc of 20°"]) <= 0.1 * bad
    contrary = (
        min(bad, proved) > TOLERANCE and settled and all(separation[name] == "violated" for name in list(excesses)[2:])
    )
    return Finding(
        ("refuted" if good <= TOLERANCE else "undecided") if contrary else "holds",
        f"At t = {T_END:g} the energy is {one:.0%} above that of a known network with one sign of a ({proved:.0%} or "
        f"more for ever, as f ≥ 0), and {arc:.0%}, nearly at rest, with all w in an arc of 20°. It is {half:.1%} above "
        f"from half of the directions, and {good:.2%} from all directions with both signs.",
        {
            "least excess of the two": bad,
            "proved with one sign": proved,
            "excesses": excesses,
            "fall of the excess in the second half of the time": flat,
            "separation": separation,
            "flows": flows,
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the excess over the minimum against time."""
    drawn, axes = half_page("flow time $t$", r"$L[\mu_t]\,/\,\min L - 1$", log=True)
    for name, flow in finding.numbers["flows"].items():
        axes.plot(flow["time"][1:], np.maximum(flow["excess"][1:], 1e-9), label=name)
    axes.set_ylim(1e-6, None)
    axes.legend(loc="lower left")
    return drawn
