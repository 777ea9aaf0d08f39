"""No data at all: a network learns a teacher in closed form, and n data approach that flow as n^(−1/2).

With Gaussian inputs the risk of erf networks is a formula (Saad & Solla 1995), so the flow for infinitely many data can
be solved as it is. Networks that agree have the same ∫ a w dμ, which says where the overlaps ∫ a⟨w, e_k⟩ dμ with the
teacher's three directions e_k must end. Run from anywhere: ``python population_limit.py [FOLDER]`` draws it to
FOLDER/population_limit.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

d, m, t_end, early = 5, 50, 200.0, 3.0
model, directions = pf.TwoLayer("erf"), np.linalg.qr(np.random.default_rng(0).normal(size=(d, 3)))[0].T
teacher = np.column_stack([np.full(3, 3.0), directions * [[3.0], [2.0], [1.0]]])
population, start = pf.PopulationEnergy(model, teacher, regularizer="none"), pf.gaussian(m, d, radius=0.1, rng=1)


class Error(pf.Observer):
    """The error over the whole population, relative to that of f = 0."""

    def measure(self, state):
        """Return it, in closed form."""
        return {"error": population.value(state.theta) / population.pairs.constant}


def flow(energy, t_end):
    """Return the flow until t_end."""
    observers = [Error(), pf.Overlaps(teacher)]
    return pf.solve(energy, start, t_end, rtol=1e-5, frames=pf.log_spaced(t_end, 80, 5e-4), observers=observers)


def data(n, seed):
    """Return the energy on n data of the teacher."""
    X = np.random.default_rng(seed).normal(size=(n, d))
    return pf.EmpiricalEnergy(model, pf.dataset_from_arrays(X, model.predict(teacher, X)), regularizer="none")


with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}):
    figure = Figure(figsize=(5, 4.4), layout="constrained")
    error, (overlap, rate) = figure.add_subplot(2, 1, 1), (figure.add_subplot(2, 2, k) for k in (3, 4))
    whole, near = flow(population, t_end).observables, flow(population, early).measure
    for n, color in {100: "#E69F00", 400: "#009E73", 1600: "#0072B2"}.items():
        found = flow(data(n, 0), t_end).observables
        error.loglog(found["time"][1:], found["error"][1:], color=color, label=f"$n = {n}$")
        distance = np.mean([pf.w2_squared(flow(data(n, k), early).measure, near) for k in range(8)]) ** 0.5
        rate.loglog(n, distance, "o", color=color)
        print(f"n = {n:4}: error {found['error'][-1]:.1e}; W2 to the population flow at t = {early:g}: {distance:.4f}")
    error.loglog(whole["time"][1:], whole["error"][1:], "k--", lw=1.2, label=r"$n = \infty$")
    for k, end in enumerate(teacher[:, 0] @ teacher[:, 1:] @ directions.T / 3, start=1):
        overlap.semilogx(whole["time"][1:], whole[f"overlap_{k}"][1:], "k", lw=1.2)
        overlap.axhline(end, color="#D55E00", ls="--", lw=1)
        print(f"overlap {k}: {whole[f'overlap_{k}'][-1]:.3f}, theory {end:.3f}")
    rate.loglog([100, 1600], distance * np.array([4, 1]), "--", color="#D55E00", lw=1, label="$n^{-1/2}$")
    error.set(xlabel="flow time $t$", ylabel="relative error")
    overlap.set(xlabel="flow time $t$", ylabel="overlaps, $n = \\infty$")
    rate.set(xlabel="number of data $n$", ylabel=f"$W_2$ to $n = \\infty$ at $t = {early:g}$", xlim=(50, 3200))
    error.legend(), rate.legend()
    figure.savefig(path := Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "population_limit.png", dpi=130)
print(path)
