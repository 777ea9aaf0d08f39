"""Noisy flows whose variance is known exactly: Ornstein–Uhlenbeck processes, alone and coupled (McKean–Vlasov).

``python -m validation.noise`` prints the table. m particles, dx_i = −λx_i dt − κ(x_i − mean) dt + √(2T) dB_i, by the
Euler–Maruyama scheme of step h: at rest the variance of one particle is that of their mean plus what is left,

    T / (λm(1 − λh/2)) + (1 − 1/m) T / ((λ + κ)(1 − (λ + κ)h/2)).

h → 0 leaves out the bias of the step, m → ∞ that of having finitely many particles (none if κ = 0). Coordinates are
independent, so that one run in R^d is d runs on the line, and their spread gives the standard error.
"""

import numpy as np

import particleflow as pf

T, RATE, RUNS, T_END = 0.5, 1.0, 50_000, 8.0
CASES = (  # κ, m, h
    (0.0, 5, 0.4),
    (0.0, 5, 0.1),
    (4.0, 5, 0.1),
    (4.0, 5, 0.02),
    (4.0, 40, 0.1),
)


def variance(coupling, m, step):
    """Return the variance of one particle at rest; m may be infinite and the step 0."""
    rate = RATE + coupling
    return T / (RATE * m * (1 - RATE * step / 2)) + (1 - 1 / m) * T / (rate * (1 - rate * step / 2))


def measured(coupling, m, step, runs=RUNS, seed=0):
    """Return the variance of one particle over independent runs, and its standard error."""
    energy = pf.KernelEnergy(pf.quadratic_aggregation(coupling, RATE), runs)
    width = np.sqrt(T / (RATE + coupling))
    start = pf.EmpiricalMeasure(width * np.random.default_rng(seed).normal(size=(m, runs)), energy.layout)
    end = pf.solve(energy, start, T_END, method="langevin", step=step, temperature=T, frames=1, seed=seed).measure
    squares = np.mean(end.particles**2, axis=0)
    return squares.mean(), squares.std() / np.sqrt(runs)


def row(coupling, m, step, runs=RUNS):
    """Return the measured variance, its error, and the exact one in full, without the step's and the chaos bias."""
    theory = [variance(coupling, m, step), variance(coupling, m, 0.0), variance(coupling, np.inf, step)]
    return *measured(coupling, m, step, runs), *theory


def main():
    """Print the table."""
    print("| κ | m | h | measured | exact | without step bias | without chaos bias |")
    print("|---|---|---|---|---|---|---|")
    for coupling, m, step in CASES:
        found, error, *theory = row(coupling, m, step)
        cells = [f"{value:.4f} ({(found - value) / error:+.1f})" for value in theory]
        print(f"| {coupling:g} | {m} | {step:g} | {found:.4f} ± {error:.4f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
