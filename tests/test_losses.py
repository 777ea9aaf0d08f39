import numpy as np
import pytest
from scipy.special import huber

import particleflow as pf
from particleflow.losses import LOSSES

TRUTH = {
    "squared": lambda f, y: (f - y) ** 2,
    "logistic": lambda f, y: np.logaddexp(0, -y * f),
    "huber": lambda f, y: huber(1.0, f - y),
}


def sample(n):
    rng = np.random.default_rng(n)
    return rng.normal(scale=2, size=n), rng.choice([-1.0, 1.0], size=n)


def test_the_table_above_is_complete():
    assert set(TRUTH) == set(LOSSES)


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("n", range(1, 41))
def test_values_against_numpy(name, n):
    f, y = sample(n)
    np.testing.assert_allclose(pf.get_loss(name).value(f, y), TRUTH[name](f, y), rtol=1e-14)


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("n", range(1, 41))
def test_risk_of_a_flow_against_numpy(name, n):
    """The compiled sum over tiles of data, for every remainder of the tile size."""
    f, y = sample(n)
    X = f[:, None]
    energy = pf.EmpiricalEnergy(pf.TwoLayer("linear"), (X, y), loss=name)
    theta = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 1.0]])  # f(x) = (2 − 3 + ½)/3 x
    np.testing.assert_allclose(energy.value(theta), TRUTH[name](-f / 6, y).mean(), rtol=1e-14)


@pytest.mark.parametrize("name", TRUTH)
def test_half_derivative_against_finite_differences(name):
    f, y = sample(200)
    h = 1e-6
    slope = (TRUTH[name](f + h, y) - TRUTH[name](f - h, y)) / (2 * h)
    np.testing.assert_allclose(pf.get_loss(name).half_derivative(f, y), slope / 2, atol=2e-9)


@pytest.mark.parametrize("name", TRUTH)
def test_extremes_neither_overflow_nor_hide_nan(name):
    loss = pf.get_loss(name)
    f, y = np.array([-1e4, 1e4, 0.0]), np.array([1.0, 1.0, -1.0])
    np.testing.assert_allclose(loss.value(f, y), TRUTH[name](f, y), rtol=1e-14)
    assert np.isfinite(loss.half_derivative(f, y)).all()
    assert np.isnan(loss.value([np.nan], [1.0])).all()
    assert np.isnan(loss.half_derivative([np.nan], [1.0])).all()


def test_huber_is_half_the_squared_loss_near_the_target():
    f = np.linspace(-1, 1, 9)
    np.testing.assert_allclose(2 * pf.get_loss("huber").value(f, 0.0), pf.get_loss("squared").value(f, 0.0))


def test_logistic_needs_signs():
    with pytest.raises(pf.InvalidInput, match=r"targets -1 and \+1, found 0.5"):
        pf.EmpiricalEnergy(pf.TwoLayer(), ([[1.0], [2.0]], [1.0, 0.5]), loss="logistic")


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(pf.InvalidInput, match="'hinge' is unknown; valid: squared, logistic, huber"):
        pf.get_loss("hinge")
