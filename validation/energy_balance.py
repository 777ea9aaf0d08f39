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


def flow(energy, measure, rtol):
    """Return the balance error, steps and velocity evaluations of `solve`."""
    result = pf.solve(energy, measure, T_END, rtol=rtol)
    observables = result.observables
    return np.abs(observables["balance"]).max() / observables["energy"][0], result.steps, result.evaluations


def plain(energy, measure, rtol):
    """Return the same for DOPRI5 on the velocity as it stands, without contacts."""
    velocity = energy.make_velocity(measure.m)
    controller = pf.PIController(rtol, 1e-12)
    solver = pf.RungeKutta(
        pf.TABLEAUS["dopri5"], controller, lambda theta, out: velocity(theta, out), measure.particles.shape
    )
    state = solver.start(measure.particles, T_END)
    initial, worst = state.energy, 0.0
    while state.t < T_END:
        state = solver.step(state, T_END)
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


if __name__ == "__main__":
    main()
