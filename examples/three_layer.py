"""Three-layer networks, free, soft and hard synchronised, learn a teacher whose clusters share their first layer.

The soft network pays γ Σ W2² between the laws of its rows, the hard one has a first layer that all clusters read. Run
from anywhere: ``python three_layer.py [FOLDER]`` draws the test errors to FOLDER/three_layer.png.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

import particleflow as pf

d, s, m = 10, 4, 20
teacher = pf.HardSynchronized(pf.exact_supports(5, 2, rng=0))
data, _ = pf.teacher_dataset(teacher, n=400, d=d, neurons=5, rng=1)
free, hard = pf.ThreeLayer(s), pf.HardSynchronized(pf.exact_supports(m, s, rng=2))
networks = {  # model, penalty, colour and style
    "free": (free, None, "black", "--"),
    "soft synchronised": (free, pf.Synchronization("sum-w2", strength=1e-2), "#0072B2", "-"),
    "hard synchronised": (hard, None, "#D55E00", "-."),
}

figure = Figure(figsize=(5, 3.4), layout="constrained")
axes = figure.subplots()
for name, (model, penalty, color, style) in networks.items():
    energy = pf.EmpiricalEnergy(model, data, regularizer="path-norm", strength=1e-3, synchronization=penalty)
    start = pf.sphere(m, energy.layout, rng=3)
    result = pf.solve(energy, start, t_end=100.0, method="bs23", rtol=1e-2, progress=True)
    observables = result.observables
    axes.loglog(observables["time"][1:], observables["test_error"][1:], color=color, ls=style, label=name)
    line = f"{name:17} test error {observables['test_error'][0]:.2f} → {observables['test_error'][-1]:.4f}"
    if model is free:  # the hard network has no rows of its own
        before, after = (pf.sum_w2_squared(pf.cluster_rows(measure)) for measure in (start, result.measure))
        line += f", synchronisation term {before:.2f} → {after:.2f}"
    print(line)
axes.set(xlabel="flow time $t$", ylabel="test error ‖f − f*‖²/‖f*‖²")
axes.legend(frameon=False)
path = Path(sys.argv[1] if len(sys.argv) > 1 else ".") / "three_layer.png"
figure.savefig(path, dpi=200)
print(path)
