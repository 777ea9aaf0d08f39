import numpy as np
import pytest
from scipy.special import erf, expit

import particleflow as pf
from particleflow.activations import ACTIVATIONS

TRUTH = {
    "relu": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "erf": (lambda z: erf(z / np.sqrt(2)), lambda z: np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
    "sigmoid": (expit, lambda z: expit(z) * expit(-z)),
    "square": (lambda z: z**2, lambda z: 2 * z),
    "linear": (lambda z: z, lambda z: np.ones_like(z)),
}


def test_the_table_above_is_complete():
    assert set(TRUTH) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", TRUTH)
@pytest.mark.parametrize("n", range(1, 41))
def test_values_and_derivatives_against_numpy_and_scipy(name, n):
    z = np.random.default_rng(n).normal(scale=3, size=n)
    value, derivative = TRUTH[name]
    np.testing.assert_allclose(pf.get_activation(name).value(z), value(z), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(pf.get_activation(name).derivative(z), derivative(z), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", TRUTH)
def test_extremes_neither_overflow_nor_hide_nan(name):
    activation = pf.get_activation(name)
    z = np.array([-800.0, -40.0, 0.0, 40.0, 800.0])
    np.testing.assert_allclose(activation.value(z), TRUTH[name][0](z), rtol=1e-14)
    assert np.isfinite(activation.derivative(z)).all()
    assert np.isnan(activation.value([np.nan])).all()


@pytest.mark.parametrize("name", TRUTH)
def test_declared_homogeneity(name):
    activation = pf.get_activation(name)
    z, c = np.random.default_rng(0).normal(size=50), 1.7
    ratios = [k for k in (1, 2) if np.allclose(activation.value(c * z), c**k * activation.value(z), rtol=1e-13)]
    assert ratios == ([] if activation.homogeneity is None else [activation.homogeneity])


def test_tails_of_the_slope_of_tanh_keep_their_digits():
    z = np.array([12.0, 15.0, 18.0, 100.0])
    np.testing.assert_allclose(pf.get_activation("tanh").derivative(z), 1 / np.cosh(z) ** 2, rtol=1e-14)


def test_derivative_of_relu_at_its_kink_is_zero():
    assert pf.get_activation("relu").derivative(0.0) == 0


def test_shapes_are_kept():
    assert pf.get_activation("tanh").value(0.5).shape == ()
    assert pf.get_activation("tanh").value(np.zeros((2, 3, 4))).shape == (2, 3, 4)


def test_unknown_name_lists_the_valid_ones():
    with pytest.raises(pf.InvalidInput, match=r"'swish' is unknown; valid: relu, erf, tanh, sigmoid, square, linear"):
        pf.TwoLayer("swish")
