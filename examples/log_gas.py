"""A log gas comes to rest at the zeros of a Hermite polynomial, and its second moment is known at every time.

Particles on the line repel each other by K = −g log|x − y| and are confined by F = −½λx². Whatever the start, they end
at √(g/(λm)) h_i, the h_i being the zeros of H_m (Stieltjes 1885), and M = ∫x² dμ follows M' = g(1 − 1/m) − 2λM exactly.
Run from anywhere: ``python log_gas.py [FOLDER]`` draws both to FOLDER/log_gas.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

m, repulsion, confinement, t_end = 16, 1.0, 1.0, 6.0


class Paths(pf.Observer):
    """The particles of every frame."""

    def __init__(self):
        self.x = []

    def record(self, state, observables):
        """Keep them."""
        self.x.append(state.theta[:, 0].copy())


paths, energy = Paths(), pf.KernelEnergy(pf.log_gas(repulsion, confinement), 1)
start = pf.uniform(m, energy.layout, low=0.5, high=1.5, rng=0)
times = np.linspace(0, t_end, 241)
result = pf.solve(energy, start, t_end, rtol=1e-9, frames=times[1:], observers=[paths])

x, second = np.array(paths.x), result.observables["rms_x"] ** 2
rest = np.sqrt(repulsion / (confinement * m)) * np.polynomial.hermite.hermgauss(m)[0]
limit = repulsion * (1 - 1 / m) / (2 * confinement)
exact = limit + np.exp(-2 * confinement * times) * (second[0] - limit)
print(f"distance from the Hermite equilibrium: {pf.w2(x[0], rest):.2f} → {pf.w2(x[-1], rest):.1e} at t = {t_end:g}")
print(f"second moment against the exact one: largest error {np.abs(second - exact).max():.1e}")

with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 2])
    lines = top.plot(times, x, color="#0072B2", lw=0.9)
    marks = top.plot(np.full(m, 1.025 * t_end), rest, "<", color="#D55E00", ms=4.5, mew=0, clip_on=False)
    top.set(ylabel="position $x_i$", xlim=(0, t_end))
    bottom.plot(times, exact, color="#D55E00")
    bottom.plot(times[::10], second[::10], "o", color="#0072B2", ms=3.5)
    figure.legend([lines[0], marks[0]], ["particles", "exact"], frameon=False, loc="outside upper right", ncols=2)
    bottom.set(xlabel="flow time $t$", ylabel=r"$\int x^2\, d\mu_t$", ylim=(0, None))
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "log_gas.png"
    figure.savefig(path, dpi=130)
print(path)
