"""m particles that attract each other under noise: the variance of one of them exceeds its limit by a term in 1/m.

Exact for every m: the mean of the particles is an Ornstein–Uhlenbeck process of its own, with rate λ and temperature
T/m, and what is left has the rate λ + κ. The simulated variances carry the bias of the Euler–Maruyama step, which is
known exactly too (`validation/noise.py`) and is taken into account.
"""

import numpy as np

from validation import noise
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = (
    "McKean–Vlasov OU at rest: one particle of m has the variance (1 − 1/m)/(β(λ + κ)) + 1/(βλm), "
    "its limit plus (1/(βm))(1/λ − 1/(λ + κ))."
)
SOURCE = "this project; propagation of chaos: Sznitman 1991"
EXPECTED = "holds"
TOLERANCE = 4.0  # standard errors
COUPLING, STEP, RUNS = 4.0, 0.04, 20_000
SIZES = (2, 4, 8, 16, 32)


def check():
    """Measure the bias for five m and compare it with the formula, in standard errors."""
    found = np.array([noise.measured(COUPLING, m, STEP, RUNS, seed=m) for m in SIZES])
    limit = noise.variance(COUPLING, np.inf, STEP)
    biases, errors = found[:, 0] - limit, found[:, 1]
    exact = np.array([noise.variance(COUPLING, m, STEP) for m in SIZES]) - limit
    without_step = np.array([noise.variance(COUPLING, m, 0.0) for m in SIZES]) - noise.variance(COUPLING, np.inf, 0.0)
    formula = noise.T / np.array(SIZES) * (1 / noise.RATE - 1 / (noise.RATE + COUPLING))
    off = np.abs(biases - exact) / errors
    seen = biases / errors
    agrees = off.max() <= TOLERANCE and np.allclose(without_step, formula, rtol=1e-12)
    return Finding(
        ("holds" if agrees else "refuted") if seen.min() > 5 else "undecided",
        f"For m = {SIZES[0]} to {SIZES[-1]} the measured bias ({biases[0]:.4f} to {biases[-1]:.4f}, at least "
        f"{seen.min():.0f} standard errors from 0) is the exact one of the scheme to {off.max():.1f} standard errors; "
        f"without the bias of the step that is the formula.",
        {
            "largest deviation in standard errors": float(off.max()),
            "m": list(SIZES),
            "biases": biases.tolist(),
            "standard errors": errors.tolist(),
            "exact": exact.tolist(),
            "formula": formula.tolist(),
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the bias against m."""
    drawn, axes = half_page("particles $m$", "variance of one particle $-$ limit", log=True)
    numbers = finding.numbers
    axes.plot(numbers["m"], numbers["formula"], color="C0", lw=1.0, label="exact")
    errors = TOLERANCE * np.array(numbers["standard errors"])
    axes.errorbar(numbers["m"], numbers["biases"], errors, fmt="o", color="C1", label=f"measured, ±{TOLERANCE:g} s.e.")
    axes.set_xticks(numbers["m"], [f"{m}" for m in numbers["m"]])
    axes.minorticks_off()
    axes.legend()
    return drawn
