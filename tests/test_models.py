"""What holds for every registered model."""

import numpy as np
import pytest

import particleflow as pf
from particleflow.models import MODELS
from particleflow.regularizers import REGULARIZERS
from particleflow.teachers import random_teacher

BUILT = {
    "two-layer": pf.TwoLayer("relu"),
    "three-layer": pf.ThreeLayer(3, "relu"),
    "hard-synchronized": pf.HardSynchronized([[0, 2, -1], [1, 3, 4], [-1, 0, -1], [4, 2, 1], [3, -1, -1]], "relu"),
}
M, D, N = 5, 9, 30
every_model = pytest.mark.parametrize("model", BUILT.values(), ids=BUILT)


def problem(model, **options):
    rng = np.random.default_rng(3)
    data = pf.dataset_from_arrays(rng.normal(size=(N, D)), rng.normal(size=N))
    theta = model.admissible(rng.normal(size=(M, model.layout(D).size)))
    return pf.EmpiricalEnergy(model, data, **options), theta


def test_every_model_is_tested_here():
    assert set(BUILT) == set(MODELS)


@every_model
def test_a_described_model_can_be_built_again(model):
    table = model.describe()
    if model.kind == "hard-synchronized":  # files keep the supports beside the configuration
        table["supports"], s = model.supports, table.pop("s")
        assert s == model.supports.shape[1]
    again = pf.build_model(table.pop("kind"), **table)
    assert type(again) is type(model)
    assert again.describe() == model.describe()
    assert repr(again) == repr(model)
    energy, theta = problem(model)
    assert energy.describe()["model"] == model.describe()
    np.testing.assert_array_equal(problem(again)[0].velocity(theta), energy.velocity(theta))


@every_model
def test_prediction_is_the_mean_of_the_features(model):
    energy, theta = problem(model)
    X = energy.data.X
    np.testing.assert_allclose(model.predict(theta, X), model.features(theta, X).mean(axis=0), atol=1e-15)
    assert energy.value(theta) == pytest.approx(np.mean((model.predict(theta, X) - energy.data.y) ** 2), rel=1e-13)


@every_model
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_regularizers_agree_with_their_gradients(model, regularizer):
    energy, theta = problem(model, regularizer=regularizer, strength=0.3)
    V, h, value = energy.regularizer, 1e-6, np.empty(M)
    direction = model.admissible(np.random.default_rng(0).normal(size=theta.shape))
    gradient = np.ones_like(theta)
    model.add_regularizer(V, theta, 0.5, value, gradient)
    np.testing.assert_array_equal(value, model.regularizer_value(V, theta))
    after, before = (model.regularizer_value(V, theta + sign * h * direction).sum() for sign in (1, -1))
    assert np.sum((gradient - 1) * direction) == pytest.approx(0.5 * (after - before) / (2 * h), rel=1e-7, abs=1e-9)
    parts = energy.make_velocity(M)(theta, np.empty_like(theta))
    assert parts["regularization"] == pytest.approx(0.3 * value.mean(), rel=1e-14)


@every_model
@pytest.mark.parametrize("regularizer", REGULARIZERS)
def test_gradients_at_zero_are_zero(model, regularizer):
    energy, theta = problem(model, regularizer=regularizer, strength=0.3)
    np.testing.assert_array_equal(energy.velocity(np.zeros_like(theta)), 0.0)


@every_model
def test_the_same_call_gives_the_same_bits(model):
    energy, theta = problem(model, strength=0.1)
    velocity, outs = energy.make_velocity(M), np.empty((3, *theta.shape))
    parts = [velocity(theta, out) for out in outs[:2]]
    parts.append(energy.make_velocity(M)(theta, outs[2]))
    assert parts[0] == parts[1] == parts[2]
    np.testing.assert_array_equal(outs, outs[:1].repeat(3, axis=0))


@every_model
@pytest.mark.parametrize("regularizer", ["path-norm", "none"])
def test_a_velocity_without_sliding_sees_data_exchanged_in_place(model, regularizer):
    energy, theta = problem(model)
    rng = np.random.default_rng(8)
    X, y = rng.normal(size=(N, D)), rng.normal(size=N)
    V = pf.get_regularizer(regularizer)
    velocity = model.make_velocity(energy.data, energy.loss, V, 0.1, M, sliding=False)
    assert not hasattr(velocity, "settle")
    out = np.empty_like(theta)
    velocity(theta, out)
    energy.data.X[...], energy.data.y[...] = X, y
    velocity(theta, out)
    fresh = pf.EmpiricalEnergy(model, (X, y), regularizer=regularizer, strength=0.1)
    np.testing.assert_array_equal(out, fresh.velocity(theta))


@every_model
def test_nan_is_seen_in_the_energy(model):
    energy, theta = problem(model, regularizer="none")
    theta[2, -1] = np.nan
    assert np.isnan(energy.value(theta))


@every_model
def test_teachers_fit_their_own_data(model):
    data, teacher = pf.teacher_dataset(model, n=20, d=D, neurons=M, rng=0)
    assert pf.EmpiricalEnergy(model, data).value(teacher) < 1e-28
    np.testing.assert_array_equal(teacher, model.admissible(teacher))
    np.testing.assert_array_equal(teacher, random_teacher(model, d=D, neurons=M, rng=0))


@every_model
@pytest.mark.parametrize("law", [pf.sphere, pf.gaussian])
def test_initial_laws_fit_the_model(model, law):
    layout = model.layout(D)
    measure = law(M, layout, radius=0.5, rng=0).push_forward(model.admissible)
    result = pf.solve(pf.EmpiricalEnergy(model, problem(model)[0].data), measure, 0.1, rtol=1e-3, frames=1)
    assert result.status == "finished"
    assert result.measure.layout == layout
    last = measure[layout.names[-1]]
    if law is pf.sphere:
        radius = 1.0 if layout.names == ("a", "w") else 0.5
        np.testing.assert_allclose(np.linalg.norm(last, axis=-1), radius, rtol=1e-15)


@pytest.mark.parametrize("model", [pf.ThreeLayer(3), BUILT["hard-synchronized"]], ids=repr)
def test_a_trajectory_remembers_its_model(model, tmp_path):
    energy, theta = problem(model)
    measure = pf.EmpiricalMeasure(theta, energy.layout)
    pf.solve(energy, measure, 0.1, rtol=1e-3, frames=2, file=tmp_path / "run.h5")
    trajectory = pf.open(tmp_path / "run.h5")
    assert trajectory.config["model"].items() >= model.describe().items()
    assert [block for block, _ in trajectory.layout.blocks] == ["a", "u", "W"]
    np.testing.assert_array_equal(trajectory.particles(0).particles, theta)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("four-layer", {}, r"^model.kind = 'four-layer' is unknown; valid: two-layer, three-layer, hard-synchronized$"),
        ("three-layer", {}, r'^model.s is missing: model.kind = "three-layer" needs it$'),
        ("two-layer", {"s": 3}, r'^model.s does not apply to model.kind = "two-layer"$'),
        ("three-layer", {"s": 2, "supports": [[0]]}, r'^model.supports does not apply to model.kind = "three-layer"$'),
        ("hard-synchronized", {}, r'^model.supports is missing: model.kind = "hard-synchronized" needs it$'),
    ],
)
def test_models_that_cannot_be_built(kind, options, message):
    with pytest.raises(pf.InvalidInput, match=message):
        pf.build_model(kind, "relu", **options)


def test_a_sphere_needs_a_network():
    layout = pf.Layout((("x", (("coordinate", 3),)),))
    with pytest.raises(pf.InvalidInput, match=r"^the sphere is not defined for particles with the blocks x$"):
        pf.sphere(4, layout, rng=0)
