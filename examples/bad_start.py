"""A bad start beside a good one: global convergence needs particles of both signs in all directions.

Chizat & Bach (2018) ask that the initial support separates {−r0}×Θ from {r0}×Θ. The sphere does for m → ∞; a start with
one sign of a does not, and stays stuck: no particle can change its sign. Run from anywhere: ``python bad_start.py
[FOLDER]`` draws both energies to FOLDER/bad_start.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import particleflow as pf

rng = np.random.default_rng(0)
x = np.sort(rng.uniform(-1, 1, 100))
data = pf.dataset_from_arrays(x, np.sin(5 * x) + 0.1 * rng.standard_normal(100), bias=True)
energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, regularizer="path-norm", strength=1e-2)
starts = {
    "both signs, all directions": pf.sphere(200, data.d, rng=0),
    "half of the directions": pf.half_sphere(200, data.d, rng=0),
    "one sign": pf.one_signed(200, data.d, rng=0),
}

figure = Figure(figsize=(5, 3.4), layout="constrained")
axes = figure.subplots()
for (name, start), color, style in zip(
    starts.items(), ("#0072B2", "#009E73", "#D55E00"), ("-", "--", "-."), strict=True
):
    observables = pf.solve(energy, start, t_end=1000.0, rtol=1e-5, progress=True).observables
    axes.semilogx(observables["time"][1:], observables["energy"][1:], color=color, ls=style, label=name)
    print(f"{name:27} energy {observables['energy'][-1]:.4f}")
axes.set(xlabel="flow time $t$", ylabel=r"energy $\mathcal{L}[\mu_t]$")
axes.legend(frameon=False)
path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "bad_start.png"
figure.savefig(path, dpi=200)
print(path)
