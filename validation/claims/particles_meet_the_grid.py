"""Particles converge to the solution of the transport equation, which is computed on a grid without any particle.

Balanced relu networks in the plane have directions that obey ∂_t ν_± = ∂_φ(ν_± ∂_φ g_±) − 2 g_± ν_± on the
circle. The flow and the grid share the data and the loss, no more. Some particles slide along kinks, where the density
piles up; that costs the grid its second order, so its own error is measured too, by halving its cells.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = (
    "Balanced start in the plane, f from the transport equation at t = 1: sup over ‖x‖ = 1 of |f_m − f| falls as 1/m "
    "or faster from quantiles of the initial densities, and as m^(−1/2) from independent draws."
)
SOURCE = "Chizat & Bach 2018, §2 (limit of many particles); rates: this project"
EXPECTED = "holds in the limit"
STRENGTH, T_END, CELLS = 0.05, 1.0, 8000
INPUTS = np.column_stack([np.linspace(-1, 1, 7), np.ones(7)])
TARGETS = np.sin(3 * INPUTS[:, 0])
CENTRES = {1: 0.3, -1: 2.0}  # of the densities (1 + 0.6 cos(φ − c)) / 2π of directions, for each sign of a
COUNTS = (16, 32, 64, 128, 256)
DRAWS = 60


def distribution(angles, centre):
    """Return the share of the directions between the angle 0 and others."""
    return (angles + 0.6 * (np.sin(angles - centre) + np.sin(centre))) / (2 * np.pi)


def quantiles(shares, centre):
    """Return the angles up to which there are these shares, by Newton's method."""
    angles = 2 * np.pi * shares
    for _ in range(50):
        angles -= (distribution(angles, centre) - shares) * 2 * np.pi / (1 + 0.6 * np.cos(angles - centre))
    return angles


def particles(m, rng=None):
    """Return m particles with |a| = ‖w‖ = 1, half of each sign: at midpoints of equal shares, or drawn."""
    parts, half = [], m // 2
    for sign, centre in CENTRES.items():
        shares = (np.arange(half) + 0.5) / half if rng is None else rng.uniform(size=half)
        angles = quantiles(shares, centre)
        parts.append(np.column_stack([np.full(half, float(sign)), np.cos(angles), np.sin(angles)]))
    return np.concatenate(parts)


def on_the_circle():
    """Return 200 unit vectors."""
    angles = 2 * np.pi * np.arange(200) / 200
    return np.column_stack([np.cos(angles), np.sin(angles)])


def on_grid(cells):
    """Return the solution at T_END by the grid, and f on the circle."""
    edges = 2 * np.pi * np.arange(cells + 1) / cells
    masses = [0.5 * np.diff(distribution(edges, centre)) for centre in CENTRES.values()]
    found = pf.solve_on_circle((INPUTS, TARGETS), *masses, [T_END], strength=STRENGTH)
    return found, found.predict(on_the_circle())[0]


def by_particles(theta, rtol):
    """Return the end of the flow at T_END, and f on the circle."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (INPUTS, TARGETS), strength=STRENGTH)
    start = pf.EmpiricalMeasure(theta, energy.layout)
    result = pf.solve(energy, start, T_END, rtol=rtol, frames=1)
    return result, energy.model.predict(result.measure.particles, on_the_circle())


def distances(grid, result):
    """Return |L − L'| and W2, on the circle, of the positive masses of both, normalised; cells are joined to 1000."""
    a, w = result.measure["a"], result.measure["w"]
    up = a > 0
    angles, masses = np.arctan2(w[up, 1], w[up, 0]), a[up] * np.linalg.norm(w[up], axis=1)
    cells = grid.positive[0].reshape(1000, -1).sum(axis=1)
    centres = grid.angles.reshape(1000, -1).mean(axis=1)
    shares = {"weights": masses / masses.sum(), "other_weights": cells / cells.sum()}
    w2 = pf.w2(angles, centres, **shares, period=2 * np.pi)
    return abs(float(result.observables["energy"][-1] - grid.energy[0])), w2


def rate(errors):
    """Return the exponent p of a fit of C m^(−p)."""
    return -float(np.polyfit(np.log(COUNTS), np.log(errors), 1)[0])


def check():
    """Compare particles from quantiles and from draws with the grid; fit both rates."""
    (grid, f), (_, coarse) = on_grid(CELLS), on_grid(CELLS // 2)
    own = float(np.abs(f - coarse).max())
    ends = [by_particles(particles(m), 1e-7) for m in COUNTS]
    ordered = [float(np.abs(g - f).max()) for _, g in ends]
    energies, transport = zip(*(distances(grid, result) for result, _ in ends), strict=True)
    drawn = []
    for m in COUNTS:
        starts = (particles(m, np.random.default_rng([m, seed])) for seed in range(DRAWS))
        drawn.append(float(np.sqrt(np.mean([np.abs(by_particles(theta, 1e-5)[1] - f).max() ** 2 for theta in starts]))))
    rates = rate(ordered), rate(drawn)
    converges = rates[0] >= 1 and abs(rates[1] - 0.5) <= 0.1 and all(e[-1] < e[0] / 2 for e in (ordered, drawn))
    exact_enough = own <= 0.5 * min(ordered)
    first, last = COUNTS[0], COUNTS[-1]
    return Finding(
        ("holds in the limit" if converges else "refuted") if exact_enough else "undecided",
        f"From m = {first} to {last} the distance falls from {ordered[0]:.1e} to {ordered[-1]:.1e} for quantiles, as "
        f"m^(−{rates[0]:.2f}), and from {drawn[0]:.1e} to {drawn[-1]:.1e} for draws (root mean square of {DRAWS}), as "
        f"m^(−{rates[1]:.2f}); {CELLS} cells and half of them differ by {own:.0e}. From quantiles the energy differs "
        f"by {energies[0]:.1e} to {energies[-1]:.1e} and W2 of the positive masses is {transport[0]:.1e} to "
        f"{transport[-1]:.1e}, as m^(−{rate(transport):.2f}).",
        {
            "rates from quantiles, draws": list(rates),
            "from quantiles": ordered,
            "from draws": drawn,
            "grid": own,
            "energy from quantiles": list(energies),
            "W2 from quantiles": list(transport),
        },
        0.1,
    )


def figure(finding):
    """Draw both distances against m, each with its fit, and what the grid differs by when its cells are halved."""
    drawn, axes = half_page("particles $m$", r"$\sup_{\|x\| = 1}\,|f_m - f|$", log=True)
    m, rates = np.array(COUNTS, dtype=float), finding.numbers["rates from quantiles, draws"]
    for name, p, label in (("from draws", rates[1], "draws"), ("from quantiles", rates[0], "quantiles")):
        errors = np.array(finding.numbers[name])
        (points,) = axes.plot(m, errors, "o", label=f"{label}: $m^{{-{p:.2f}}}$")
        level = np.exp(np.mean(np.log(errors * m**p)))
        axes.plot(m, level * m**-p, color=points.get_color(), linewidth=0.8)
    axes.axhline(finding.numbers["grid"], color="0.6", linestyle=":", linewidth=1)
    axes.text(m[0], finding.numbers["grid"], "the grid, when its cells are halved", va="bottom", size="small")
    axes.set_xticks(m, [f"{count:g}" for count in m], minor=False)
    axes.minorticks_off()
    axes.legend(loc="lower left", bbox_to_anchor=(0, 0.12))
    return drawn
