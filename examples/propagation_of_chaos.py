"""Propagation of chaos: neurons drawn from a law stay near its evolution, at the rate of the draw.

Where the velocity is Lipschitz, W2(μ_m(t), μ(t)) ≤ e^{Ct} W2(μ_m(0), μ(0)); the widest run stands for μ. Neurons start
on two circles, so that W2 is of the order m^(−1/2), as on the line (Fournier & Guillin 2015); the energy distance is in
every dimension. Later they gather in few places, in shares that fluctuate by m^(−1/2): so does W2², W2 by m^(−1/4).
Run from anywhere: ``python propagation_of_chaos.py [FOLDER [SEEDS]]`` keeps the sweep in FOLDER and draws both there.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

WIDTH, folder = "model.particles", Path(sys.argv[1] if len(sys.argv) > 1 else ".")
plan = pf.load_sweep(Path(__file__).with_suffix(".toml"))
if len(sys.argv) > 2:
    plan = replace(plan, values={**plan.values, "seed": list(range(int(sys.argv[2])))})
sweep = pf.run_sweep(plan, folder / "propagation_of_chaos", progress=True)


def distances(sweep):
    """Return the flow times, and W2 and energy distance there to the widest run of the same seed: NaN for that run."""
    width, seed = sweep.values(WIDTH), sweep.values("seed")
    w2, energy = np.full((2, 4, len(sweep)), np.nan)
    for k in np.flatnonzero(width < width.max()):
        widest = np.flatnonzero((width == width.max()) & (seed == seed[k]))[0]
        with sweep.open(k) as run, sweep.open(widest) as limit:
            times, w2[:, k] = pf.distances_between(run, limit)
            energy[:, k] = [pf.energy_distance(run.particles(t), limit.particles(t)) for t in range(4)]
    return times, w2, energy


with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    panels = (figure := Figure(figsize=(6, 2.8), layout="constrained")).subplots(1, 2)
    times, *found = distances(sweep)
    theory = ("m^(-0.5), m^(-0.25) as they gather", "m^(-0.5)")
    for axes, name, values, rate in zip(panels, ("W2", "energy distance"), found, theory, strict=True):
        for t, at_t, color in zip(times, values, ("#000000", "#0072B2", "#E69F00", "#009E73"), strict=True):
            (law,), (curve,) = sweep.fits(at_t, WIDTH), sweep.curves(at_t, WIDTH)
            axes.loglog(
                curve.x, curve.median, "o", color=color, ms=3.5, label=f"$t = {t:g}$: $m^{{{law.exponent:.2f}}}$"
            )
            axes.fill_between(curve.x, curve.low, curve.high, color=color, alpha=0.15, lw=0)
            axes.loglog(curve.x, law(curve.x), color=color, lw=1)
            print(f"{name} at t = {t:3g}: m^({law.exponent:.3f}), 95 % {law.low:.3f} … {law.high:.3f}; theory: {rate}")
        axes.set(xlabel="particles $m$", ylabel=f"{name.replace('W2', '$W_2$')} to the widest run")
        axes.set_xticks(curve.x, [f"{m:g}" for m in curve.x])
        axes.minorticks_off()
        axes.set_yticks([0.1, 0.2, 0.4, 0.8], ["0.1", "0.2", "0.4", "0.8"])
        axes.legend(frameon=False, fontsize=7, loc="lower left")
    figure.savefig(path := folder / "propagation_of_chaos.png", dpi=130)
print(path)
