"""The energy distance to U[0, 1] as a flow: every particle goes straight to its quantile, and all at the same rate.

With K = −|x − y| and F = −E|x − Y|, Y uniform on [0, 1], the i-th of m sorted particles in [0, 1] follows
q_i(t) = s_i + e^{−2t}(q_i(0) − s_i), s_i = (2i − 1)/2m: exact at every finite m. So the Wasserstein distance W₂ to the
quantised uniform law (1/m) Σ δ_{s_i} falls as e^{−2t}. Run from anywhere: ``python energy_distance.py [FOLDER]`` draws
it to FOLDER/energy_distance.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

m, t_end = 20, 2.0


class Paths(pf.Observer):
    """The particles of every frame."""

    def __init__(self):
        self.x = []

    def record(self, state, observables):
        """Keep them."""
        self.x.append(state.theta[:, 0].copy())


paths, energy = Paths(), pf.KernelEnergy(pf.energy_distance_to_uniform(), 1)
start = np.sort(np.random.default_rng(0).beta(5, 1.5, m))
times = np.linspace(0, t_end, 11)
pf.solve(energy, pf.EmpiricalMeasure(start[:, None], energy.layout), t_end, frames=times[1:], observers=[paths])

x, rest = np.array(paths.x), (2 * np.arange(1, m + 1) - 1) / (2 * m)
exact = rest + np.exp(-2 * times)[:, None] * (start - rest)
distances = np.array([pf.w2(cloud, rest) for cloud in x])
print(f"particles against the exact solution: largest error {np.abs(x - exact).max():.1e}")
print(f"distance W2 to the quantised law: {distances[0]:.4f} → {distances[-1]:.6f}")
print(f"the same by theory, e^(-2t) W2(0): {np.exp(-2 * t_end) * distances[0]:.6f}")

with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 2])
    fine = np.linspace(0, t_end, 200)
    lines = top.plot(fine, rest + np.exp(-2 * fine)[:, None] * (start - rest), color="#D55E00", lw=0.8)
    dots = top.plot(times, x, "o", color="#0072B2", ms=2.5)
    top.set(ylabel="position $x_i$", ylim=(0, 1), xlim=(-0.03, t_end + 0.03))
    bottom.semilogy(fine, distances[0] * np.exp(-2 * fine), color="#D55E00")
    bottom.semilogy(times, distances, "o", color="#0072B2", ms=3.5)
    bottom.set(xticks=np.linspace(0, t_end, 5), xlabel="flow time $t$", ylabel=r"$W_2$ to the limit")
    figure.legend([lines[0], dots[0]], ["exact", "particles"], frameon=False, loc="outside upper right", ncols=2)
    path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "energy_distance.png"
    figure.savefig(path, dpi=130)
print(path)
