"""The squared-loss risk of a network is the energy of interacting particles, and the flow descends it.

Expand (f_μ − f*)² and integrate. With the potential G = ∫K dμ − F, half the first variation, θ̇ = −∇G goes down; the
report prints F − ∫K, along which the same equation climbs.
"""

import numpy as np

import particleflow as pf
from validation.ledger import Finding

STATEMENT = "Squared loss: L[μ] = C − 2∫F dμ + ∬K dμ dμ, and G = ½ δL/δμ = ∫K dμ − F."
SOURCE = "Lazarus 2022, §2.2.2, sign of G corrected"
EXPECTED = "holds"
TOLERANCE = 1e-12
STRENGTH = 1e-2


def errors(rng, activation):
    """Return the relative errors of L and G of one random network on random data, and dL/dt of the report's sign."""
    m, n, d = 40, 60, 4
    model, X, y = pf.TwoLayer(activation), rng.normal(size=(n, d)), rng.normal(size=n)
    measure = pf.gaussian(m, d, rng=rng)
    theta = measure.particles
    energy = pf.EmpiricalEnergy(model, (X, y), strength=STRENGTH)
    kernel = pf.EmpiricalKernel(model, X, y, "path-norm", STRENGTH)

    risk = np.mean((model.predict(theta, X) - y) ** 2) + STRENGTH * np.mean(
        np.abs(theta[:, 0]) * np.linalg.norm(theta[:, 1:], axis=1)
    )
    potential = kernel.K(theta, theta).mean(axis=1) - kernel.F(theta)
    scale = np.abs(potential).max()
    slope = energy.velocity(theta)  # −∇G
    step = 1e-6 / np.sqrt(np.mean(np.sum(slope**2, axis=1)))
    return (
        abs(pf.pairwise_energy(kernel, theta) - risk) / risk,
        np.abs(energy.potential(theta, measure) - potential).max() / scale,
        np.abs(pf.pairwise_velocity(kernel, theta) - slope).max() / np.abs(slope).max(),
        (energy.value(theta - step * slope) - energy.value(theta + step * slope)) / risk,
    )


def check():
    """Compare the risk with the sum over pairs, and the sign of the velocity with the change of the risk."""
    rng = np.random.default_rng(7)
    found = np.array([errors(rng, activation) for activation in ("relu", "erf", "tanh", "square") for _ in range(5)])
    worst, climb = found[:, :3].max(axis=0), float(found[:, 3].min())
    return Finding(
        "holds" if worst.max() <= TOLERANCE and climb > 0 else "refuted",
        f"On 20 networks (relu, erf, tanh, square) risk and pair energy agree to {worst[0]:.1e}, both potentials to "
        f"{worst[1]:.1e} and both velocities to {worst[2]:.1e}; with the sign printed in the report every risk rises.",
        {"relative error of L": worst[0], "of G": worst[1], "of ∇G": worst[2], "smallest climb": climb},
        TOLERANCE,
    )
