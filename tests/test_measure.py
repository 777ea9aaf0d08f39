import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf
from particleflow.measure import LAWS, two_layer_layout


def draw(law, m=1000, d=2, **options):
    return LAWS[law](m, d, rng=0, **options)


@pytest.mark.parametrize("law", LAWS)
@given(m=st.integers(1, 20), d=st.integers(1, 6))
def test_every_law_gives_m_particles_of_dimension_d(law, m, d):
    if law == "circle-grid":
        m, d = 2 * m, 2
    measure = draw(law, m, d)
    assert measure.particles.shape == (m, 1 + d)
    assert measure["a"].shape == (m,)
    assert measure["w"].shape == (m, d)
    assert np.isfinite(measure.particles).all()


def test_sphere():
    measure = draw("sphere", 4001, 3, radius=2.5)
    np.testing.assert_allclose(np.linalg.norm(measure["w"], axis=1), 1, rtol=1e-14)
    np.testing.assert_array_equal(measure["a"][:4], [2.5, -2.5, 2.5, -2.5])
    # uniform: mean 0 and covariance I/d, within five standard errors
    assert np.abs(measure["w"].mean(axis=0)).max() < 5 / np.sqrt(3 * 4001)
    assert np.abs(measure["w"].T @ measure["w"] / 4001 - np.eye(3) / 3).max() < 5 / np.sqrt(4001)


def test_gaussian():
    particles = draw("gaussian", 4000, 3, radius=0.5).particles
    assert abs(particles.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * particles.size)
    assert abs(particles.mean()) < 5 * 0.5 / np.sqrt(particles.size)


def test_bad_starts():
    half = draw("half-sphere")
    assert (half["w"][:, 0] >= 0).all()
    np.testing.assert_allclose(np.linalg.norm(half["w"], axis=1), 1, rtol=1e-14)
    assert set(half["a"]) == {1.0, -1.0}
    signed = draw("one-signed", radius=3.0)
    assert (signed["a"] == 3.0).all()
    np.testing.assert_allclose(np.linalg.norm(signed["w"], axis=1), 1.5, rtol=1e-14)


def test_circle_grid_is_even_and_balanced():
    measure = pf.circle_grid(12)
    angles = np.sort(np.mod(np.arctan2(measure["w"][:, 1], measure["w"][:, 0]), 2 * np.pi)[measure["a"] > 0])
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 6, rtol=1e-12)
    np.testing.assert_array_equal(measure["w"][measure["a"] > 0], measure["w"][measure["a"] < 0])
    # φ is odd in a, so the network starts at f = 0
    assert np.abs(pf.TwoLayer().predict(measure.particles, np.eye(2))).max() < 1e-16


@pytest.mark.parametrize("law", ["sphere", "gaussian", "half-sphere", "one-signed"])
def test_seeds(law):
    a, b = LAWS[law](5, 3, rng=1), LAWS[law](5, 3, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(a.particles, b.particles)
    assert (LAWS[law](5, 3, rng=2).particles != a.particles).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 2), "particles = 0"),
        ((-1, 2), "particles = -1"),
        ((2.5, 2), "particles = 2.5"),
        ((2, 0), "d = 0"),
    ],
)
def test_bad_sizes(arguments, words):
    with pytest.raises(pf.InvalidInput, match=words):
        pf.sphere(*arguments, rng=0)


@pytest.mark.parametrize("radius", [0, -1, np.nan, np.inf])
def test_bad_radius(radius):
    with pytest.raises(pf.InvalidInput, match="radius"):
        pf.gaussian(2, 2, radius=radius, rng=0)


def test_circle_grid_refuses_odd_numbers_and_other_dimensions():
    with pytest.raises(pf.InvalidInput, match="even number of particles, found 5"):
        pf.circle_grid(5)
    with pytest.raises(pf.InvalidInput, match="d = 3"):
        pf.circle_grid(4, 3)


def test_measure_is_checked_and_read_only():
    layout = two_layer_layout(2)
    with pytest.raises(pf.InvalidInput, match=r"\(2, 2\), expected \(m, 3\)"):
        pf.EmpiricalMeasure(np.zeros((2, 2)), layout)
    with pytest.raises(pf.InvalidInput, match="particles = 0"):
        pf.EmpiricalMeasure(np.zeros((0, 3)), layout)
    with pytest.raises(pf.InvalidInput, match="particle 1"):
        pf.EmpiricalMeasure([[0, 0, 0], [0, np.nan, 0]], layout)
    source = np.zeros((2, 3))
    measure = pf.EmpiricalMeasure(source, layout)
    source[:] = 1
    assert (measure.particles == 0).all()
    with pytest.raises(ValueError, match="read-only"):
        measure["w"][0] = 1
    with pytest.raises(pf.InvalidInput, match="'u' is unknown; valid: a, w"):
        measure["u"]


def test_integrals_and_push_forward():
    measure = pf.EmpiricalMeasure([[1.0, 2.0], [3.0, 6.0]], two_layer_layout(1))
    np.testing.assert_allclose(measure.integrate(lambda theta: theta), [2, 4])
    assert measure.integrate(lambda theta: theta[:, 0] ** 2) == 5
    np.testing.assert_allclose(measure.push_forward(lambda theta: theta + 1)["w"], [[3], [7]])


def test_from_files(tmp_path):
    layout, truth = two_layer_layout(2), pf.gaussian(7, 2, rng=3)
    np.savez(tmp_path / "cloud.npz", a=truth["a"], w=truth["w"])
    with h5py.File(tmp_path / "cloud.h5", "w") as file:
        file["a"], file["w"] = truth["a"], truth["w"]
    for name in ("cloud.npz", "cloud.h5"):
        np.testing.assert_array_equal(pf.measure_from_file(tmp_path / name, layout).particles, truth.particles)


def test_from_a_trajectory(tmp_path):
    energy = pf.EmpiricalEnergy(pf.TwoLayer("tanh"), ([[1.0], [2.0]], [1.0, 0.0]))
    result = pf.solve(energy, pf.sphere(3, 1, rng=0), 1.0, frames=2, file=tmp_path / "run.h5")
    measure = pf.measure_from_file(tmp_path / "run.h5", energy.layout)
    np.testing.assert_array_equal(measure.particles, result.measure.particles)


def test_bad_files(tmp_path):
    layout = two_layer_layout(2)
    (tmp_path / "text.npz").write_text("no")
    (tmp_path / "text.h5").write_text("no")
    np.savez(tmp_path / "shape.npz", a=np.zeros(3), w=np.zeros((3, 5)))
    np.savez(tmp_path / "blocks.npz", a=np.zeros(3))
    for name, words in {
        "missing.npz": "does not exist",
        "text.npz": "cannot be read",
        "text.h5": "cannot be read",
        "shape.npz": r"block 'w' has shape \(3, 5\), expected \(3, 2\)",
        "blocks.npz": "block 'w' is missing",
    }.items():
        with pytest.raises(pf.InvalidInput, match=words):
            pf.measure_from_file(tmp_path / name, layout)
