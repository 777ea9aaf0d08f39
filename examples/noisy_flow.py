"""Noise: particles that attract each other, their variance at every time, and the bias of having finitely many.

dx_i = −λx_i dt − κ(x_i − mean) dt + √(2T) dB_i (McKean–Vlasov Ornstein–Uhlenbeck). The Euler–Maruyama scheme of step h
has a variance known exactly: the mean relaxes at the rate λ, what is left at λ + κ. As h → 0 it comes to rest at
V = (1 − 1/m) T/(λ + κ) + T/(λm), the triangles. Coordinates are independent: one run in R^d is d runs on the line.
Run from anywhere: ``python noisy_flow.py [FOLDER]`` draws it to FOLDER/noisy_flow.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

T, rate, coupling, step, t_end, width = 0.5, 1.0, 4.0, 0.02, 3.0, 1.5
times = step * np.arange(round(t_end / step) + 1)


def flow(m, runs):
    """Return the flow of m particles, in as many independent runs, from the uniform law on [−width, width]."""
    energy = pf.KernelEnergy(pf.quadratic_aggregation(coupling, rate), runs)
    start = pf.uniform(m, energy.layout, low=-width, high=width, rng=m)
    return pf.solve(energy, start, t_end, method="langevin", step=step, temperature=T, frames=times[1:], seed=m)


def variance(m):
    """Return the variance of one of m particles after 0, 1, 2, … steps: that of their mean plus what is left."""
    (mean, rest), values = width**2 / 3 * np.array([1 / m, 1 - 1 / m]), []
    for _ in times:
        values.append(mean + rest)
        mean = (1 - rate * step) ** 2 * mean + 2 * T * step / m
        rest = (1 - (rate + coupling) * step) ** 2 * rest + 2 * T * step * (1 - 1 / m)
    return np.array(values)


with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    left, right = (figure := Figure(figsize=(5, 2.6), layout="constrained")).subplots(1, 2)
    for m, runs, color in ((5, 4000, "#0072B2"), (20, 1000, "#009E73")):
        measured, exact = flow(m, runs).observables["rms_x"] ** 2 / runs, variance(m)
        left.plot(times[::10], measured[::10], "o", color=color, ms=3, label=f"$m = {m}$")
        left.plot(times, exact, color=color, lw=1)
        at_rest = (1 - 1 / m) * T / (rate + coupling) + T / (rate * m)
        left.plot(1.04 * t_end, at_rest, "<", color=color, ms=5, mew=0, clip_on=False)
        print(f"m = {m:2}: variance {measured[-1]:.4f}, exact {exact[-1]:.4f}, at rest without step bias {at_rest:.4f}")
    left.plot(times, variance(np.inf), "k--", lw=1, label=r"$m = \infty$")
    left.set(xlabel="time $t$", ylabel="variance of one particle", xlim=(0, t_end), ylim=(0, 0.8))
    left.legend(frameon=False)
    crowd, V, x = flow(1000, 1), T / (rate + coupling), np.linspace(-width, width, 200)
    least = T / 2 * (1 - np.log(2 * np.pi * np.e * V))
    print(f"free energy {crowd.observables['free_energy'][-1]:.3f}, least {least:.3f}")
    right.hist(crowd.measure["x"][:, 0], 25, density=True, color="#56B4E9", label="particles")
    right.plot(x, np.exp(-(x**2) / (2 * V)) / np.sqrt(2 * np.pi * V), "k--", lw=1, label="theory")
    right.set(xlabel="position $x$", ylabel=f"density at $t = {t_end:g}$", ylim=(0, 1.8))
    right.legend(frameon=False, loc="upper left")
    figure.savefig(path := Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "noisy_flow.png", dpi=130)
print(path)
