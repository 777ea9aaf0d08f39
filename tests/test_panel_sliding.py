"""Contacts from signs are those that products with all inputs find."""

import numpy as np
import pytest

import particleflow as pf
from particleflow.models import panel_sliding, two_layer
from particleflow.models.sliding import SlidingVelocity


def by_products(velocity, drift, X, *rules):
    """Make the velocity that looks for contacts with products of all particles and inputs."""
    return SlidingVelocity(velocity, X, drift.residuals, *rules)


@pytest.mark.parametrize(("d", "m", "seed"), [(3, 12, 0), (6, 25, 1), (12, 7, 2)])
def test_flows_with_contacts_do_not_depend_on_how_they_are_found(d, m, seed, monkeypatch):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.normal(size=(35, d - 1)), np.ones(35)])
    X[30:] = X[:5]  # equal inputs have one kink
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, rng.normal(size=35)), strength=0.05)
    measure = pf.sphere(m, d, rng=seed)
    options = {"rtol": 1e-6, "frames": 5, "t_end": 40.0}
    found = pf.solve(energy, measure, **options)
    assert found.observables["sliding"].max() > 0
    monkeypatch.setattr(two_layer, "PanelSlidingVelocity", by_products)
    truth = pf.solve(energy, measure, **options)
    np.testing.assert_array_equal(found.observables["sliding"], truth.observables["sliding"])
    np.testing.assert_allclose(found.measure.particles, truth.measure.particles, atol=1e-7)


def test_contacts_of_one_step(monkeypatch):
    """Clouds far apart, of which some particles moved between two calls: the same contacts, at the same places."""
    rng = np.random.default_rng(3)
    m, n, d = 40, 61, 5
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    new = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.1).make_velocity(m)
    monkeypatch.setattr(two_layer, "PanelSlidingVelocity", by_products)
    old = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), strength=0.1).make_velocity(m)
    assert isinstance(new, panel_sliding.PanelSlidingVelocity) and type(old) is SlidingVelocity
    before, count = rng.normal(size=(m, 1 + d)), 0
    for _ in range(6):
        ahead, after = (before + 0.3 * rng.normal(size=before.shape) for _ in range(2))
        outcomes = []
        for velocity in (new, old):
            theta, out = after.copy(), np.empty_like(after)
            velocity(theta, out)
            outcomes.append((velocity.settle(before, ahead, theta, out), theta, *velocity.contacts))
        for one, other in zip(*outcomes, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        before, count = outcomes[0][1], count + len(outcomes[0][2])
    assert count > 0
