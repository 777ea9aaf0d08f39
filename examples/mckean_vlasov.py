"""Propagation of chaos where everything is known: the bias of having finitely many particles is exactly C/m.

dx_i = −λx_i dt − κ(x_i − mean) dt + √(2T) dB_i. At rest one of m has the variance (1 − 1/m) T/(λ + κ) + T/(λm): that
of infinitely many and (T/m)(1/λ − 1/(λ + κ)) (Sznitman 1991 has the order). Euler–Maruyama steps of size h make
r(1 − rh/2) of a rate r, which is taken into account. The coordinates of a particle are independent copies of it.
Run from anywhere: ``python mckean_vlasov.py [FOLDER [SEEDS]]`` keeps the sweep in FOLDER and draws the bias there.
"""

import sys
from dataclasses import replace
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

import particleflow as pf

WIDTH, folder = "model.particles", Path(sys.argv[1] if len(sys.argv) > 1 else ".")
plan = pf.load_sweep(Path(__file__).with_suffix(".toml"))
if len(sys.argv) > 2:
    plan = replace(plan, values={**plan.values, "seed": list(range(int(sys.argv[2])))})
sweep = pf.run_sweep(plan, folder / "mckean_vlasov", progress=True)

T, h, copies = (*(plan.base["flow"][key] for key in ("temperature", "step")), plan.base["model"]["d"])
confinement, attraction = (plan.base["energy"]["parameters"][key] for key in ("confinement", "attraction"))
of_mean, of_rest = (T / (rate * (1 - rate * h / 2)) for rate in (confinement, confinement + attraction))

bias = sweep.values("rms_x") ** 2 / copies - of_rest
(law,), (curve,) = sweep.fits(bias, WIDTH), sweep.curves(bias, WIDTH)
print(f"measured: {law.prefactor:.4f} × m^({law.exponent:.3f}), 95 % {law.low:.3f} … {law.high:.3f}")
print(f"exact:    {of_mean - of_rest:.4f} × m^(-1)")

with rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
    axes = (figure := Figure(figsize=(3.6, 2.8), layout="constrained")).subplots()
    axes.fill_between(curve.x, curve.low, curve.high, color="#0072B2", alpha=0.2, lw=0)
    axes.loglog(curve.x, curve.median, "o", color="#0072B2", ms=4, label=f"measured: $m^{{{law.exponent:.3f}}}$")
    axes.loglog(curve.x, (of_mean - of_rest) / curve.x, "--", color="#D55E00", label="exact: $m^{-1}$")
    axes.set(xlabel="particles $m$", ylabel="variance of one particle $-$ limit")
    axes.set_xticks(curve.x, [f"{m:g}" for m in curve.x])
    axes.set_yticks([0.0125, 0.025, 0.05, 0.1, 0.2], ["0.0125", "0.025", "0.05", "0.1", "0.2"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    figure.savefig(path := folder / "mckean_vlasov.png", dpi=130)
print(path)
