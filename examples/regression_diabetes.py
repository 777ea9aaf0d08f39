"""Many features: a robust fit of disease progression, from a configuration, against the best linear fit.

Run from anywhere: ``python regression_diabetes.py``. The same from the shell: ``particleflow run
regression_diabetes.toml``.
"""

from pathlib import Path

import numpy as np

import particleflow as pf

config = pf.load_config(Path(__file__).with_suffix(".toml"))
energy, start = config.build()
data = energy.data
result = pf.solve(energy, start, config.flow.t_end, rtol=config.flow.rtol, progress=True)

coefficients, *_ = np.linalg.lstsq(data.X, data.y, rcond=None)
linear = np.sum((data.X_test @ coefficients - data.y_test) ** 2) / np.sum(data.y_test**2)
errors = result.observables["test_error"]
balance = np.abs(result.observables["balance"]).max() / result.observables["energy"][0]
print(f"{data.n} patients to fit, {data.n_test} to test, {data.d - 1} features, {start.m} neurons")
print(f"test error: linear least squares {linear:.3f}, flow {errors[-1]:.3f} at t = {result.t:g}")
print(f"best along the path: {errors.min():.3f} at t = {result.observables['time'][errors.argmin()]:.3g}")
print(f"energy balance holds to {balance:.1e}")
