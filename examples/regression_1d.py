"""One feature: fit the interest rate of Treasury bills against time, and draw what the particles did.

Run from anywhere: ``python regression_1d.py [FOLDER]`` writes the trajectory and the figures to FOLDER (default: here).
"""

import sys
from pathlib import Path

import particleflow as pf

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
table = Path(__file__).parent.parent / "data" / "treasury_bill.csv"

data = pf.load_dataset(table, target="rate", bias=True, standardize=True, test_fraction=0.25, rng=0)
energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, regularizer="path-norm", strength=1e-3)
start = pf.sphere(400, data.d, rng=0)
result = pf.solve(energy, start, t_end=200.0, file=folder / "regression_1d.h5", overwrite=True, progress=True)

balance = abs(result.observables["balance"]).max() / result.observables["energy"][0]
print(f"{result.status} at t = {result.t:g} after {result.steps} steps")
print(f"energy {result.observables['energy'][0]:.4f} → {result.observables['energy'][-1]:.4f}")
print(f"test error {result.observables['test_error'][-1]:.3f}, energy balance holds to {balance:.1e}")

with pf.open(folder / "regression_1d.h5") as trajectory:
    for path in pf.save_figures(trajectory, folder):
        print(path)
