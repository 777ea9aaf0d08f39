"""What methods cost on one problem: the table of docs/choosing.md.

``python -m validation.choosing`` prints it: the data and the network of the demo with a smooth activation and with
relu, up to t = 20. The error is that of the final particles, as a root mean square relative to their norms, against the
adaptive method at a tolerance of 1e-10; the balance error is the largest |L(t) + 2∫∫|∇G|² − L(0)|, relative to L(0).
"""

import time

import numpy as np

import particleflow as pf
from validation.energy_balance import demo_problem

T_END = 20.0
WAYS = (
    ("dopri5", {"rtol": 1e-8}),
    ("dopri5", {"rtol": 1e-6}),
    ("dopri5", {"rtol": 1e-4}),
    ("bs23", {"rtol": 1e-6}),
    ("bs23", {"rtol": 1e-4}),
    ("rk4", {"step": 0.1}),
    ("rk4", {"step": 0.02}),
    ("heun", {"step": 0.02}),
    ("euler", {"step": 0.1}),
    ("euler", {"step": 0.02}),
)


def rows(activation, t_end=T_END):
    """Yield a row of the table for each way."""
    energy, start = demo_problem(activation)
    exact = pf.solve(energy, start, t_end, rtol=1e-10, frames=1).measure.particles
    for method, settings in WAYS:
        begun = time.process_time()
        result = pf.solve(energy, start, t_end, method=method, frames=1, **settings)
        seconds = time.process_time() - begun
        balance = np.abs(result.observables["balance"]).max() / result.observables["energy"][0]
        error = np.linalg.norm(result.measure.particles - exact) / np.linalg.norm(exact)
        yield (
            method,
            ", ".join(f"{name} = {value:g}" for name, value in settings.items()),
            result.evaluations,
            f"{seconds:.2g}",
            f"{error:.1e}",
            f"{balance:.1e}",
        )


def main():
    """Print the table."""
    print("| σ | method | | velocity evaluations | seconds | error | balance error |")
    print("|---|---|---|---|---|---|---|")
    for activation in ("erf", "relu"):
        pf.solve(*demo_problem(activation), 1e-3)  # compiles
        for row in rows(activation):
            print(f"| {activation} | {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    main()
