"""The transport equation, weakly, on the frames of a stored trajectory: nothing but particles is read back.

∇G is taken by central differences of the potential G(·, μ), which shares no code with the velocity of the flow, and the
time integral by Simpson's rule on the frames: its error falls with the fourth power of their spacing.
"""

import tempfile
from pathlib import Path

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "d/dt ∫χ dμ_t = −∫∇χ·∇G(·, μ_t) dμ_t, that is ∂_t μ = div(μ∇G): ∫χ dμ_t − ∫χ dμ_0 = −∫₀ᵗ∫∇χ·∇G dμ_s ds."
SOURCE = "Lazarus 2022, §2.2.2"
EXPECTED = "holds"
TOLERANCE = 1e-8
T_END, INTERVALS, D, M = 2.0, 256, 3, 30
STRIDES = (16, 8, 4, 2, 1)
WAVE = np.array([1.0, -0.5, 2.0, 0.7])
TESTS = {  # χ and ∇χ
    "‖θ‖²": (lambda x: np.sum(x**2, axis=1), lambda x: 2 * x),
    "a w_1": (lambda x: x[:, 0] * x[:, 1], lambda x: np.column_stack([x[:, 1], x[:, 0], 0 * x[:, 2:]])),
    "cos⟨k, θ⟩": (lambda x: np.cos(x @ WAVE), lambda x: -np.sin(x @ WAVE)[:, None] * WAVE),
    "exp(−½‖θ‖²)": (
        lambda x: np.exp(-0.5 * np.sum(x**2, axis=1)),
        lambda x: -x * np.exp(-0.5 * np.sum(x**2, axis=1))[:, None],
    ),
}


def potential_gradient(energy, measure, h=1e-4):
    """Return ∇G(θ_i, μ), shape (m, p), by fourth-order central differences with μ held fixed."""
    theta, gradient = measure.particles, np.empty_like(measure.particles)
    for k, direction in enumerate(np.eye(theta.shape[1])):
        G = [energy.potential(theta + s * h * direction, measure) for s in (-2, -1, 1, 2)]
        gradient[:, k] = (G[0] - 8 * G[1] + 8 * G[2] - G[3]) / (12 * h)
    return gradient


def stored_flow():
    """Return ∫χ dμ and −∫∇χ·∇G dμ at all frames of a trajectory that was written and read back, by test function."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, D))
    energy = pf.EmpiricalEnergy(
        pf.TwoLayer("erf"), (X, 4 * np.sin(2 * X[:, 0])), regularizer="squared-norm", strength=1e-2
    )
    with tempfile.TemporaryDirectory() as folder:
        file, frames = Path(folder) / "flow.h5", np.linspace(0, T_END, INTERVALS + 1)[1:]
        pf.solve(energy, pf.gaussian(M, D, rng=1), T_END, rtol=1e-12, frames=frames, file=file)
        with pf.open(file) as trajectory:
            clouds = [trajectory.particles(frame) for frame in range(len(trajectory))]
    gradients = [potential_gradient(energy, cloud) for cloud in clouds]
    return {
        name: (
            np.array([cloud.integrate(chi) for cloud in clouds]),
            np.array(
                [
                    -np.mean(np.sum(slope(cloud.particles) * grad, axis=1))
                    for cloud, grad in zip(clouds, gradients, strict=True)
                ]
            ),
        )
        for name, (chi, slope) in TESTS.items()
    }


def simpson_error(mean, rate, stride):
    """Return the largest error of the integrated weak form over t, in units of the largest change of ∫χ dμ."""
    mean, rate, h = mean[::stride], rate[::stride], stride * T_END / INTERVALS
    pieces = h / 3 * (rate[:-2:2] + 4 * rate[1::2] + rate[2::2])
    change = mean[2::2] - mean[0]
    return float(np.max(np.abs(np.cumsum(pieces) - change)) / np.max(np.abs(mean - mean[0])))


def check():
    """Measure the error for five spacings of the frames and four test functions, and its order."""
    series = stored_flow()
    errors = {name: [simpson_error(*pair, stride) for stride in STRIDES] for name, pair in series.items()}
    finest = max(values[-1] for values in errors.values())
    orders = [float(np.polyfit(np.log(STRIDES[:4]), np.log(values[:4]), 1)[0]) for values in errors.values()]
    return Finding(
        "holds" if finest <= TOLERANCE and min(orders) >= 3.5 else "refuted",
        f"On {INTERVALS + 1} stored frames the two sides agree to {finest:.1e} of the change of ∫χ dμ, for "
        f"{len(errors)} test functions; the error falls with the spacing of the frames to the power {min(orders):.2f} "
        f"to {max(orders):.2f} (Simpson's rule: 4).",
        {
            "largest error": finest,
            "orders": orders,
            "spacings": [stride * T_END / INTERVALS for stride in STRIDES],
            "errors": errors,
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw the error against the spacing of the frames."""
    drawn, axes = half_page("spacing $h$ of the frames", "relative error of the weak form", log=True)
    labels = r"$\|\theta\|^2$", "$a w_1$", r"$\cos\langle k, \theta\rangle$", r"$e^{-\|\theta\|^2/2}$"
    h = np.array(finding.numbers["spacings"])
    for label, values in zip(labels, finding.numbers["errors"].values(), strict=True):
        axes.plot(h, values, "o-", label=label)
    top = max(values[0] for values in finding.numbers["errors"].values())
    axes.plot(h, 0.5 * top * (h / h[0]) ** 4, "--", color="0.6", lw=0.9, label="$h^4$")
    axes.legend()
    return drawn
