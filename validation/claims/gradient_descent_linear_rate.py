"""Gradient descent with step 1/L on a strongly convex, smooth risk: the excess falls by 1 − α/L a step.

With the directions w fixed, the energy is a quadratic form of the weights a. For features Φ = σ(⟨w_i, x_j⟩) and the
regulariser λ∫‖θ‖² dμ its Hessian is (2/(n m²)) ΦΦᵀ + (2λ/m) I; α and L are the extreme eigenvalues. The report prints
the right-hand side (1 − α/L)^t (θ_1 − θ_0). Read as a norm that is no bound: multiply the targets by c, and the left
side is multiplied by c², but this one by c.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "L(θ_t) − L* ≤ (1 − α/L)^t (L(θ_0) − L*) for θ_{t+1} = θ_t − (1/L)∇L(θ_t)."
SOURCE = "Lazarus 2022, §2.2.2, right-hand side corrected"
EXPECTED = "holds"
TOLERANCE = 1e-10
STEPS, N, D = 400, 60, 5


def problem(k, rng):
    """Return the energy of an instance and its particles; every other one has a ridge, without one m ≤ n/4."""
    activation, ridge = ("relu", "tanh", "erf", "sigmoid")[k % 4], k % 2 == 0
    m = 40 if ridge else 12
    data = rng.normal(size=(N, D)), 10.0 ** rng.uniform(-1, 2) * rng.normal(size=N)
    strength = 10.0 ** rng.uniform(-3, -1) if ridge else 0.0
    energy = pf.EmpiricalEnergy(pf.TwoLayer(activation), data, regularizer="squared-norm", strength=strength)
    return energy, np.array(pf.gaussian(m, D, rng=rng).particles)


def quadratic(energy, theta):
    """Return α and L, and the least energy over a."""
    m, w = len(theta), theta[:, 1:]
    features = energy.model.features(np.column_stack([np.ones(m), w]), energy.data.X)
    curvature = 2 / (N * m**2) * features @ features.T + 2 * energy.strength / m * np.eye(m)
    slope = 2 / (N * m) * features @ energy.data.y
    eigenvalues = np.linalg.eigvalsh(curvature)
    best = np.column_stack([np.linalg.solve(curvature, slope), w])
    return float(eigenvalues[0]), float(eigenvalues[-1]), energy.value(best)


def descend(energy, theta, L):
    """Return the energies of gradient descent on a alone, and the length of its first step; ∂L/∂θ_i = (2/m) ∇G."""
    values, first = [energy.value(theta)], None
    for _ in range(STEPS):
        step = np.zeros_like(theta)
        step[:, 0] = 2 / len(theta) * energy.velocity(theta)[:, 0] / L
        first = float(np.linalg.norm(step)) if first is None else first
        theta = theta + step
        values.append(energy.value(theta))
    return np.array(values), first


def check():
    """Compare every step of 24 descents with the bound, up to rounding in L − L*, and with the printed one."""
    rng, worst, printed, condition, curves = np.random.default_rng(0), -np.inf, 0.0, [], []
    for k in range(24):
        energy, theta = problem(k, rng)
        alpha, L, least = quadratic(energy, theta)
        values, first = descend(energy, theta, L)
        rate = (1 - alpha / L) ** np.arange(STEPS + 1)
        excess = (values - least) / (values[0] - least)
        worst = max(worst, float(np.max(excess - rate)))
        seen = excess > 1e-9  # above rounding
        printed = max(printed, float(np.max(((values - least) / (rate * first))[seen])))
        condition.append(alpha / L)
        if k in (0, 4, 16):
            curves.append({"alpha / L": alpha / L, "excess": excess.tolist()})
    return Finding(
        "holds" if worst <= TOLERANCE else "refuted",
        f"In 24 descents of {STEPS} steps, α/L = {min(condition):.1e} to {max(condition):.1e}, no excess is above its "
        f"bound by more than {max(worst, 0):.1e} of the first one; the printed right-hand side, read with the norm "
        f"‖θ_1 − θ_0‖, is exceeded {printed:.0f}-fold.",
        {"largest excess over the bound": worst, "left / printed right side": printed, "descents": curves},
        TOLERANCE,
    )


def figure(finding):
    """Draw three descents with their bounds."""
    drawn, axes = half_page("step $t$", r"$(L(\theta_t) - L^*)\,/\,(L(\theta_0) - L^*)$")
    for k, descent in enumerate(finding.numbers["descents"]):
        rate, excess = 1 - descent["alpha / L"], np.array(descent["excess"])
        steps = np.arange(len(excess))
        axes.semilogy(steps, np.maximum(excess, 1e-16), color=f"C{k}", label=rf"$\alpha/L$ = {1 - rate:.1e}")
        axes.semilogy(steps, rate**steps, "--", color=f"C{k}", lw=0.9)
    axes.plot([], [], "--", color="0.3", lw=0.9, label="bound")
    axes.set_ylim(1e-7, 2)
    axes.legend()
    return drawn
