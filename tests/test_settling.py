"""What `settle` leaves as it is: a flow goes on with the velocity that it has, and a resumed one evaluates it anew."""

import numpy as np
import pytest

import particleflow as pf


class Settling:
    """A velocity whose every call of `settle` is looked at."""

    def __init__(self, velocity):
        self._velocity, self.moved = velocity, 0

    def __getattr__(self, name):
        return getattr(self._velocity, name)

    def __call__(self, theta, out):
        return self._velocity(theta, out)

    def settle(self, before, ahead, theta, velocity):
        there = theta.copy()
        changed = self._velocity.settle(before, ahead, theta, velocity)
        assert changed or np.array_equal(there, theta)
        self.moved += not np.array_equal(there, theta)
        return changed


@pytest.mark.parametrize(
    ("model", "d", "t_end"),
    [(pf.TwoLayer(), 2, 60.0), (pf.TwoLayer(), 6, 20.0), (pf.ThreeLayer(2), 3, 4.0)],
    ids=["plane", "two-layer", "three-layer"],
)
def test_particles_that_are_moved_are_told_of(model, d, t_end, monkeypatch):
    rng = np.random.default_rng(5)
    data = np.column_stack([rng.normal(size=(40, d - 1)), np.ones(40)]), rng.normal(size=40)
    energy, seen = pf.EmpiricalEnergy(model, data, strength=1e-2), []
    make = energy.make_velocity

    def watched(m):
        seen.append(Settling(make(m)))
        return seen[-1]

    monkeypatch.setattr(energy, "make_velocity", watched)
    pf.solve(energy, pf.gaussian(30, model.layout(d), rng=1), t_end, rtol=1e-6, frames=1)
    assert max(velocity.moved for velocity in seen) > 0
