"""The flow on a grid of the circle, against its exact solution for one datum, its balances, and what it refuses."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import particleflow as pf

STRENGTH, T_END = 0.1, 1.0


def bump(angles, centre, half_width):
    """A density on the circle with two bounded derivatives and a support that ends."""
    offset = (angles - centre + np.pi) % (2 * np.pi) - np.pi
    return np.where(np.abs(offset) < half_width, np.cos(0.5 * np.pi * offset / half_width) ** 4, 0.0)


def cells(density, N):
    """Return the masses of the cells, by Gauss's quadrature."""
    nodes, weights = np.polynomial.legendre.leggauss(6)
    width = 2 * np.pi / N
    angles = width * (np.arange(N)[:, None] + 0.5 * (1 + nodes))
    return 0.5 * width * density(angles) @ weights


def one_datum(N):
    """Return the masses of ν_± at T_END for the datum x = (1, 0), y = 1: exact but for one scalar equation.

    Where cos φ > 0, φ' = ±r sin φ with r = f − y, so tan(φ/2) = tan(φ_0/2) e^{±s} with s = ∫r dt, and of every
    characteristic the mass times e^{λt} sin² φ is conserved.
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    laws = [(1, 0.5, 0.8), (-1, -0.4, 0.7)]

    def moved(angle, s):
        return 2 * np.arctan(np.tan(angle / 2) * np.exp(s))

    def growth(angle, s):  # (sin φ_0 / sin φ)², of a mass that was at the angle
        t = np.tan(angle / 2)
        return np.exp(-2 * s) * ((1 + (t * np.exp(s)) ** 2) / (1 + t**2)) ** 2

    def f(t, s):
        total = 0.0
        for sign, centre, half in laws:
            angles = centre + half * nodes
            masses = half * weights * bump(angles, centre, half) * growth(angles, sign * s)
            total += sign * np.exp(-STRENGTH * t) * masses @ np.cos(moved(angles, sign * s))
        return total

    s = solve_ivp(lambda t, s: f(t, s[0]) - 1, (0, T_END), [0.0], rtol=1e-12, atol=1e-13, method="DOP853").y[0, -1]

    def density(angles, sign, centre, half):
        angles = (angles + np.pi) % (2 * np.pi) - np.pi
        inside = np.abs(angles) < 0.5 * np.pi
        start = moved(angles, -sign * s)
        stretch = np.exp(-sign * s) * (1 + np.tan(angles / 2) ** 2) / (1 + np.tan(start / 2) ** 2)
        moving = bump(start, centre, half) * growth(start, sign * s) * stretch * np.exp(-STRENGTH * T_END)
        return np.where(inside, moving, 0.0)

    exact = [cells(lambda angles, law=law: density(angles, *law), N) for law in laws]
    starts = [cells(lambda angles, law=law: bump(angles, *law[1:]), N) for law in laws]
    return exact, starts, f(T_END, s)


def test_the_grid_converges_at_second_order_to_the_exact_flow_of_one_datum():
    errors = []
    for N in (200, 400, 800):
        exact, starts, f = one_datum(N)
        found = pf.solve_on_circle(([[1.0, 0.0]], [1.0]), *starts, [T_END], strength=STRENGTH)
        masses = found.positive[0], found.negative[0]
        l1 = sum(np.abs(part - true).sum() for part, true in zip(masses, exact, strict=True))
        errors.append([l1, abs(found.predict([[1.0, 0.0]])[0, 0] - f), abs(found.balance[0])])
    errors = np.array(errors)
    orders = np.log2(errors[:-1] / errors[1:])
    assert (orders[:, :2] > 1.85).all() and (orders[:, 2] > 2.4).all(), orders
    assert (errors[-1] < [4e-4, 2e-6, 1e-6]).all(), errors[-1]


@pytest.mark.parametrize("loss", ["squared", "logistic", "huber"])
def test_masses_stay_positive_and_both_balances_close(loss):
    """Kinks of all data within the support, and masses that pile up at some of them."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), rng.choice([-1.0, 1.0], 6)
    start = np.full(300, 1 / 600)
    found = pf.solve_on_circle((X, y), start, start, [0.0, 0.5, 2.0, 6.0], loss=loss, strength=0.05)
    assert min(found.positive.min(), found.negative.min()) >= 0
    assert np.array_equal(found.positive[0], start) and (np.diff(found.energy) < 0).all()
    assert np.abs(found.mass_balance).max() < 1e-13
    assert np.abs(found.balance).max() < 1e-5 * found.energy[0]


def test_data_that_turn_turn_the_solution():
    """A rotation by whole cells is exact; so is the exchange of both signs."""
    rng = np.random.default_rng(1)
    X, y, start = rng.normal(size=(5, 2)), rng.normal(size=5), rng.uniform(0, 0.02, (2, 64))
    turn = 2 * np.pi * 10 / 64
    R = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    one = pf.solve_on_circle((X, y), *start, [1.0], strength=0.1)
    other = pf.solve_on_circle((X @ R, -y), *np.roll(start[::-1], 10, axis=1), [1.0], strength=0.1)
    np.testing.assert_allclose(other.negative, np.roll(one.positive, 10, axis=1), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(other.energy, one.energy, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ([[1.0, 0.0, 0.0]], [1.0])}, r"d = 2 .*, found d = 3$"),
        ({"positive": np.full(16, -0.1)}, r"^positive has the mass -0\.1 in a cell: valid are finite numbers from 0$"),
        ({"negative": np.full(16, np.nan)}, r"^negative has the mass nan"),
        ({"negative": np.ones(12)}, r"^positive has 16 cells and negative 12: they must agree$"),
        ({"positive": np.ones(4)}, r"^positive has shape \(4,\): valid are at least 8 cells$"),
        ({"positive": "many"}, r"^positive: valid are numbers"),
        ({"times": [1.0, 0.5]}, r"^times = \[1.0, 0.5\]: valid are increasing finite numbers from 0"),
        ({"times": []}, r"^times = \[\]: valid"),
        ({"strength": -1.0}, r"^strength = -1.0: valid"),
        ({"data": ([[1e200, 0.0]], [0.5])}, r"^at t = 0 the steps of time are too small: scale data and masses down$"),
        ({"loss": "logistic"}, r"needs targets -1 and \+1, found 0.5$"),
    ],
)
def test_what_cannot_be_solved_is_refused(changes, words):
    given = {"data": ([[1.0, 0.0]], [0.5]), "positive": np.ones(16), "negative": np.ones(16), "times": [1.0]}
    with pytest.raises(pf.InvalidInput, match=words):
        pf.solve_on_circle(**(given | changes))
