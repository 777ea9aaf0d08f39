"""Overlaps with a teacher: what a network with Gaussian inputs depends on."""

import numpy as np
import pytest

import particleflow as pf


def problem(m=6, d=4, m_t=3):
    rng = np.random.default_rng(0)
    energy = pf.PopulationEnergy(pf.TwoLayer("erf"), rng.normal(size=(m_t, 1 + d)))
    return energy, pf.gaussian(m, d, rng=rng)


def turned(particles, rotation):
    return np.column_stack([particles[:, 0], particles[:, 1:] @ rotation])


def measured(energy, measure, observer):
    return {
        name: values[0] for name, values in pf.solve(energy, measure, 1e-3, observers=[observer]).observables.items()
    }


def test_generalisation_error_in_terms_of_the_overlaps():
    """Saad & Solla 1995: E[erf(u/√2) erf(v/√2)] = (2/π) asin(c_uv / √((1 + c_uu)(1 + c_vv)))."""
    energy, measure = problem()
    Q, R, T = pf.overlaps(measure, energy.teacher)
    masses = np.concatenate([measure["a"] / measure.m, -energy.teacher[:, 0] / len(energy.teacher)])
    products = np.block([[Q, R], [R.T, T]])
    scale = np.sqrt(1 + np.diag(products))
    error = masses @ (2 / np.pi * np.arcsin(products / np.outer(scale, scale))) @ masses
    assert energy.value(measure.particles) == pytest.approx(error, rel=1e-12)


def test_rotations_change_nothing():
    energy, measure = problem()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    teacher = turned(energy.teacher, rotation)
    moved = pf.EmpiricalMeasure(turned(measure.particles, rotation), measure.layout)
    for found, expected in zip(pf.overlaps(moved, teacher), pf.overlaps(measure, energy.teacher), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-13)
    ours = measured(energy, measure, pf.Overlaps())
    theirs = measured(pf.PopulationEnergy(energy.model, teacher), moved, pf.Overlaps())
    for k in (1, 2, 3):
        for name in (f"overlap_{k}", f"alignment_{k}"):
            assert theirs[name] == pytest.approx(ours[name], abs=1e-13)


def test_observed_overlaps_follow_from_the_matrices():
    energy, measure = problem()
    Q, R, T = pf.overlaps(measure, energy.teacher)
    found = measured(energy, measure, pf.Overlaps())
    sizes = np.sqrt(np.diag(T))
    cosines = R / np.outer(np.sqrt(np.diag(Q)), sizes)
    for k in range(3):
        assert found[f"overlap_{k + 1}"] == pytest.approx(np.mean(measure["a"] * R[:, k]) / sizes[k], rel=1e-12)
        assert found[f"alignment_{k + 1}"] == pytest.approx(cosines[:, k].max(), rel=1e-12)


def test_a_network_that_has_found_its_teacher_is_aligned_with_it():
    energy, _ = problem()
    found = measured(energy, pf.EmpiricalMeasure(energy.teacher, energy.layout), pf.Overlaps())
    assert all(found[f"alignment_{k}"] == pytest.approx(1, abs=1e-14) for k in (1, 2, 3))


def test_neurons_without_weights_have_the_cosine_0():
    energy = pf.PopulationEnergy(pf.TwoLayer("erf"), [[1.0, 0.0, 0.0], [1.0, 3.0, 4.0]])
    start = pf.EmpiricalMeasure([[1.0, 0.0, 0.0], [1.0, -3.0, -4.0]], energy.layout)
    found = measured(energy, start, pf.Overlaps())
    assert (found["alignment_1"], found["overlap_1"]) == (0, 0)
    assert (found["alignment_2"], found["overlap_2"]) == (0, pytest.approx(-2.5))


def test_at_most_ten_neurons_are_followed_and_data_may_have_a_teacher():
    data, teacher = pf.teacher_dataset(pf.TwoLayer("relu"), n=8, d=2, neurons=12, rng=0)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data)
    found = measured(energy, pf.sphere(4, 2, rng=0), pf.Overlaps(teacher))
    assert {name for name in found if name.startswith("overlap")} == {f"overlap_{k}" for k in range(1, 11)}


def test_bad_input():
    energy, measure = problem()
    with pytest.raises(pf.InvalidInput, match=r"^teacher has shape \(3, 4\): valid is \(m_t, 5\), m_t from 1$"):
        pf.overlaps(measure, energy.teacher[:, 1:])
    points = pf.KernelEnergy(pf.log_gas(1.0, 1.0), 1)
    start = pf.gaussian(3, points.layout, rng=0)
    with pytest.raises(pf.InvalidInput, match=r"^overlaps need the blocks a, w of a two-layer network, found x$"):
        pf.overlaps(start, [[1.0]])
    with pytest.raises(pf.InvalidInput, match=r"^the overlaps need a teacher: Overlaps\(teacher\)"):
        pf.solve(points, start, 1.0, observers=[pf.Overlaps()])
