"""How well the energy balance holds, and at what cost: the tables of docs/accuracy.md.

``python -m validation.energy_balance`` prints them. The balance L(t) + 2∫₀ᵗ∫|∇G|² dμ ds − L(0) vanishes for the exact
flow; its largest value along a run, relative to L(0), is the error shown. "plain" is the same Runge–Kutta pair without
sliding: its particles zigzag across the kinks of relu.
"""

from pathlib import Path

import numpy as np

import particleflow as pf

T_END = 200.0
DATA = Path(__file__).parent.parent / "data" / "treasury_bill.csv"


def demo_problem(activation):
    """Return the energy and the initial measure of the demo."""
    data = pf.load_dataset(DATA, target="rate", bias=True, standardize=True, test_fraction=0.25, rng=0)
    return pf.EmpiricalEnergy(pf.TwoLayer(activation), data, strength=1e-3), pf.sphere(400, data.d, rng=0)


def deep_problem(kind, regularizer, term):
    """Return the energy and the initial measure of a relu network with two hidden layers on random data."""
    rng, m, s = np.random.default_rng(0), 20, 2 if term == "D" else 3
    X, y = rng.normal(size=(30, 3)), rng.normal(size=30)
    models = {
        "three-layer": lambda: pf.ThreeLayer(s),
        "hard, exact": lambda: pf.HardSynchronized(pf.exact_supports(m, s, 0)),
        "hard, bernoulli": lambda: pf.HardSynchronized(pf.bernoulli_supports(m, s, 0)),
    }
    penalty = pf.Synchronization(term, strength=0.1) if term else None
    strength = 0.0 if regularizer == "none" else 0.01
    options = {"regularizer": regularizer, "strength": strength, "synchronization": penalty}
    energy = pf.EmpiricalEnergy(models[kind](), (X, y), **options)
    return energy, pf.gaussian(m, energy.layout, rng=0)


DEEP = [
    *(
        (kind, V, None)
        for kind in ("three-layer", "hard, exact", "hard, bernoulli")
        for V in ("none", "path-norm", "scaled-squared-norm")
    ),
    *(("three-layer", "path-norm", term) for term in ("sum-w2", "D", "B")),
]


def flow(energy, measure, rtol, t_end=T_END):
    """Return the balance error, steps and velocity evaluations of `solve`."""
    result = pf.solve(energy, measure, t_end, rtol=rtol)
    observables = result.observables
    return np.abs(observables["balance"]).max() / observables["energy"][0], result.steps, result.evaluations


def plain(energy, measure, rtol, t_end=T_END):
    """Return the same for DOPRI5 on the velocity as it stands, without contacts."""
    velocity = energy.make_velocity(measure.m)
    controller = pf.PIController(rtol, 1e-12)
    solver = pf.RungeKutta(
        pf.TABLEAUS["dopri5"], controller, lambda theta, out: velocity(theta, out), measure.particles.shape
    )
    state = solver.start(measure.particles, t_end)
    initial, worst = state.energy, 0.0
    while state.t < t_end:
        state = solver.step(state, t_end)
        worst = max(worst, abs(state.energy + 2 * state.dissipated - initial))
    return worst / initial, state.steps, state.evaluations


def main():
    """Print the tables."""
    for activation, tolerances in {"relu": (-3, -4, -5, -6, -7, -8), "erf": (-3, -5, -7, -9)}.items():
        energy, measure = demo_problem(activation)
        print(f"\n{activation}, n = {energy.data.n}, m = {measure.m}, t = {T_END:g}\n")
        print("| rtol | scheme | balance error / L(0) | steps | velocity evaluations |")
        print("|---|---|---|---|---|")
        for exponent in tolerances:
            schemes = {"flow": flow} | ({"plain": plain} if activation == "relu" and exponent >= -5 else {})
            for name, run in schemes.items():
                error, steps, evaluations = run(energy, measure, 10.0**exponent)
                print(f"| 1e{exponent} | {name} | {error:.1e} | {steps} | {evaluations} |", flush=True)
    print_deep()


def print_deep():
    """Print the table for relu networks with two hidden layers."""
    times, tolerances = (1.0, 5.0), (-3, -5, -7)
    print("\nrelu, two hidden layers, n = 30, d = 3, m = 20, s = 3 (2 for D), Gaussian start: error / L(0) (steps)\n")
    cells = [f"t = {t:g}, 1e{exponent}" for t in times for exponent in tolerances] + ["t = 5, 1e-5, plain"]
    print("| network | V | penalty | " + " | ".join(cells) + " |")
    print("|---" * (3 + len(cells)) + "|")
    for kind, regularizer, term in DEEP:
        energy, measure = deep_problem(kind, regularizer, term)
        runs = [flow(energy, measure, 10.0**exponent, t) for t in times for exponent in tolerances]
        runs.append(plain(energy, measure, 1e-5, 5.0))
        results = " | ".join(f"{error:.1e} ({steps})" for error, steps, _ in runs)
        print(f"| {kind} | {regularizer} | {term or 'none'} | {results} |", flush=True)


if __name__ == "__main__":
    main()
