"""Annealing: at a low temperature particles stay in the wrong well; cooled slowly they find the deeper one.

Each coordinate lives in a double well V(x) = x⁴/4 − x²/2 − x/10 and starts in its shallow half. At rest at a
temperature T its law is that of Gibbs, e^{−V/T}/Z, which says what share is in the deeper well (dashed). Run from
anywhere: ``python annealing.py [FOLDER]`` draws it to FOLDER/annealing.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numba import njit

import particleflow as pf

m, d, t_end, last = 10, 200, 200.0, 0.03


@njit(cache=True)
def double_well(x, parameters, gradient):
    """F = −V, summed over the coordinates, which do not see each other: 2000 particles on the line."""
    gradient[:] = x - x**3 + 0.1
    return np.sum(x**2 / 2 - x**4 / 4 + x / 10)


@njit(cache=True)
def nothing(x, y, parameters, gradient):
    """K = 0."""
    gradient[:] = 0.0
    return 0.0


class Share(pf.Observer):
    """The share of the coordinates in the deeper well."""

    def measure(self, state):
        """Return it."""
        return {"share": np.mean(state.theta > 0)}


energy, x = pf.KernelEnergy(pf.PairKernel(double_well, nothing), d), np.linspace(-4, 4, 4001)
start = pf.EmpiricalMeasure(np.full((m, d), -1.0), energy.layout)
laws = {"cold": last, "warm": 0.3, "annealed": pf.Temperature(0.3, "power", t_end / (0.3 / last - 1))}
with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    axes = (figure := Figure((4.6, 2.9), layout="constrained")).subplots()
    for (name, T), color in zip(laws.items(), ("#0072B2", "#E69F00", "#009E73"), strict=True):
        settings = {"step": 0.05, "temperature": T, "frames": np.linspace(2, t_end, 100), "observers": [Share()]}
        found = pf.solve(energy, start, t_end, method="langevin", **settings).observables
        weights = [np.exp((x**2 / 2 - x**4 / 4 + x / 10) / T) for T in found["temperature"]]
        gibbs = [weight[x > 0].sum() / weight.sum() for weight in weights]
        axes.plot(found["time"], found["share"], color=color, lw=1.2, label=name)
        axes.plot(found["time"], gibbs, "--", color=color, lw=1)
        print(f"{name:8} T = {found['temperature'][-1]:.2f}: {found['share'][-1]:.3f}, at rest {gibbs[-1]:.3f}")
    axes.set(xlabel="time $t$", ylabel="share in the deeper well", xlim=(0, t_end), ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc=(0.7, 0.22))
    figure.savefig(path := Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "annealing.png", dpi=130)
print(path)
