"""No data at all: a network learns a teacher in closed form, and n data approach that flow as n^(−1/2).

With Gaussian inputs the risk of erf networks is a formula (Saad & Solla 1995), so the flow of infinitely many data can
be solved. Networks that agree have the same ∫ a w dμ: it says where the overlaps ∫ a⟨w, e_k⟩ dμ with the teacher's
directions end. From anywhere: ``python population_limit.py [FOLDER]`` draws it to FOLDER/population_limit.png.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

d, m, t_end, early = 5, 50, 200.0, 1.0
model, directions = pf.TwoLayer("erf"), np.linalg.qr(np.random.default_rng(0).normal(size=(d, 3)))[0].T
teacher = np.column_stack([np.full(3, 3.0), directions * [[3.0], [2.0], [1.0]]])
population, start = pf.PopulationEnergy(model, teacher, regularizer="none"), pf.gaussian(m, d, radius=0.1, rng=1)


class Error(pf.Observer):
    """The error over the whole population, relative to that of f = 0."""

    def measure(self, state):
        """Return it, in closed form."""
        return {"error": population.value(state.theta) / population.pairs.constant}


settings = {"rtol": 1e-5, "frames": pf.log_spaced(t_end, 80, 1e-3), "observers": [Error(), pf.Overlaps(teacher)]}
inputs = np.random.default_rng(1).normal(size=(30, 800, d))
limit = pf.solve(population, start, early, frames=1).measure
with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    error, overlap, rate = (figure := Figure((5, 4.4), layout="constrained")).subplot_mosaic("AA;BC").values()
    for n, color in {50: "#E69F00", 200: "#009E73", 800: "#0072B2"}.items():
        draws = [pf.EmpiricalEnergy(model, (X, model.predict(teacher, X)), regularizer="none") for X in inputs[:, :n]]
        found = pf.solve(draws[0], start, t_end, **settings).observables
        error.loglog(found["time"][1:], found["error"][1:], color=color, label=f"$n = {n}$")
        near = np.mean([pf.w2(pf.solve(draw, start, early, frames=1).measure, limit) for draw in draws])
        rate.loglog(n, near, "o", color=color)
        print(f"n = {n:3}: error {found['error'][-1]:.1e}, W2 to the limit at t = {early:g} {near:.4f}")
    rate.loglog([50, 800], near * np.array([4, 1]), "--", color="#D55E00", label="$n^{-1/2}$")
    found = pf.solve(population, start, t_end, **settings).observables
    error.loglog(found["time"][1:], found["error"][1:], "k--", lw=1.2, label=r"$n = \infty$")
    for k, end in enumerate(teacher[:, 0] @ teacher[:, 1:] @ directions.T / 3, start=1):
        overlap.semilogx(found["time"][1:], found[f"overlap_{k}"][1:], "k", lw=1.2)
        overlap.axhline(end, color="#D55E00", ls="--", lw=1, label="theory" if k == 1 else None)
        print(f"overlap {k}: {found[f'overlap_{k}'][-1]:.3f}, theory {end:.3f}")
    error.set(xlabel="flow time $t$", ylabel="relative error")
    overlap.set(xlabel="flow time $t$", ylabel=r"overlaps, $n = \infty$")
    rate.set(xlabel="number of data $n$", ylabel=rf"$W_2$ to $n = \infty$ at $t = {early:g}$")
    rate.set(xticks=(ticks := [50, 200, 800]), xticklabels=ticks)
    rate.set(yticks=(ticks := [0.01, 0.02, 0.04]), yticklabels=ticks)
    for axes, place in ((error, "lower left"), (overlap, "lower right"), (rate, "upper right")):
        axes.legend(frameon=False, loc=place)
        axes.minorticks_off()
    figure.savefig(path := Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "population_limit.png", dpi=130)
print(path)
