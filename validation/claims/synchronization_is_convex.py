"""Joint convexity of optimal transport, seen along mixtures.

If π couples μ¹, μ² and ρ couples ν¹, ν², then λπ + (1 − λ)ρ couples the rows of the mixture: that is the proof. It
needs a plan for each measure, and no map that serves both.
"""

import numpy as np

import particleflow as pf
from validation.drawing import half_page
from validation.ledger import Finding

STATEMENT = "Two rows: D(μ) = W2²(μ¹, μ²) is convex, D(λμ + (1−λ)ν) ≤ λ D(μ) + (1−λ) D(ν)."
SOURCE = "Lazarus 2022, §2.5.3"
EXPECTED = "holds"
TOLERANCE = 1e-9


def mixture(mu, nu, share):
    """Return D of share·μ + (1 − share)·ν for clusters mu (m, 2, q) and nu (m', 2, q), by weights."""
    both = np.concatenate([mu, nu])
    weights = np.concatenate([np.full(len(mu), share / len(mu)), np.full(len(nu), (1 - share) / len(nu))])
    return pf.w2_squared(both[:, 0], both[:, 1], weights=weights, other_weights=weights)


def repeated(mu, nu, a, b):
    """Return D of the same mixture, share = a/(a + b), with the clusters of μ repeated a times and those of ν b times.

    Both measures need as many clusters.
    """
    both = np.concatenate([np.repeat(mu, a, axis=0), np.repeat(nu, b, axis=0)])
    return pf.w2_squared(both[:, 0], both[:, 1])


def pair(rng):
    """Return two random clouds of clusters, as many in each; their rows have laws of their own."""
    m, q = rng.integers(2, 13), rng.integers(1, 5)
    return (rng.normal(size=(m, 2, q)) + rng.normal(size=(1, 2, q)) for _ in range(2))


def check():
    """Measure how far mixtures lie below the chord, relative to it, on 200 random pairs of measures."""
    rng, margins, differences = np.random.default_rng(1), [], []
    for _ in range(200):
        mu, nu = pair(rng)
        a, b = rng.integers(1, 5, size=2)
        share = a / (a + b)
        chord = share * mixture(mu, mu, 0.5) + (1 - share) * mixture(nu, nu, 0.5)
        value = mixture(mu, nu, share)
        margins.append((chord - value) / chord)
        differences.append(abs(repeated(mu, nu, a, b) - value) / chord)
    margin, difference = min(margins), max(differences)
    mu, nu = pair(np.random.default_rng(8))
    shares = np.linspace(0, 1, 21)
    return Finding(
        "holds" if margin >= -TOLERANCE and difference <= TOLERANCE else "refuted",
        f"On 200 random mixtures D lies below the chord by {np.median(margins):.0%} in the median and never above "
        f"it but for rounding (smallest margin {margin:.1e}); mixtures by weights and by repeated clusters agree to "
        f"{difference:.1e}.",
        {
            "smallest margin": margin,
            "median margin": float(np.median(margins)),
            "largest difference of two routes": difference,
            "shares": shares.tolist(),
            "D along one mixture": [mixture(mu, nu, share) for share in shares],
        },
        TOLERANCE,
    )


def figure(finding):
    """Draw D along one mixture, below its chord."""
    drawn, axes = half_page(r"$\lambda$", r"$D(\lambda\mu + (1-\lambda)\nu)$")
    shares, values = finding.numbers["shares"], finding.numbers["D along one mixture"]
    axes.plot(shares, values, label="$D$ of the mixture")
    axes.plot(shares[:: len(shares) - 1], values[:: len(values) - 1], "--", label="chord")
    axes.legend()
    return drawn
