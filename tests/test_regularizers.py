import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf
from particleflow.regularizers import REGULARIZERS

TRUTH = {
    "path-norm": lambda theta: np.abs(theta[:, 0]) * np.linalg.norm(theta[:, 1:], axis=1),
    "norm": lambda theta: np.linalg.norm(theta, axis=1),
    "squared-norm": lambda theta: np.sum(theta**2, axis=1),
    "scaled-squared-norm": lambda theta: np.abs(theta[:, 0]) * np.sum(theta[:, 1:] ** 2, axis=1),
    "none": lambda theta: np.zeros(len(theta)),
}


def test_the_table_above_is_complete():
    assert set(TRUTH) == set(REGULARIZERS)


@pytest.mark.parametrize("name", TRUTH)
@given(m=st.integers(1, 6), d=st.integers(1, 5), seed=st.integers(0, 99))
def test_values_and_gradients(name, m, d, seed):
    theta = np.random.default_rng(seed).normal(size=(m, 1 + d))
    regularizer = pf.get_regularizer(name)
    np.testing.assert_allclose(regularizer.value(theta), TRUTH[name](theta), rtol=1e-14, atol=0)
    gradient, h = regularizer.gradient(theta), 1e-6
    for k in range(1 + d):
        step = h * np.eye(1 + d)[k]
        slope = (TRUTH[name](theta + step) - TRUTH[name](theta - step)) / (2 * h)
        np.testing.assert_allclose(gradient[:, k], slope, atol=1e-7)


@pytest.mark.parametrize("name", TRUTH)
def test_gradient_is_zero_at_the_kink(name):
    assert (pf.get_regularizer(name).gradient(np.zeros((1, 3))) == 0).all()


def test_path_norm_at_a_zero_and_at_w_zero():
    gradient = pf.get_regularizer("path-norm").gradient(np.array([[0.0, 3.0, 4.0], [2.0, 0.0, 0.0]]))
    assert (gradient == 0).all()


def test_path_norm_is_homogeneous_of_degree_two():
    theta = np.random.default_rng(0).normal(size=(5, 4))
    value = pf.get_regularizer("path-norm").value
    np.testing.assert_allclose(value(3 * theta), 9 * value(theta), rtol=1e-14)
