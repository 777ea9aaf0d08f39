"""The hypotheses of the convergence theorem: verdicts for cases that are known, covering radii against brute force."""

import json
import math

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main
from particleflow.hypotheses import HOLDS, UNDECIDED, VIOLATED
from particleflow.spherical_covering import covering_radius

RNG = np.random.default_rng(0)


def energy(activation="relu", d=2, **terms):
    data = np.random.default_rng(1).normal(size=(12, d)), np.random.default_rng(2).normal(size=12)
    return pf.EmpiricalEnergy(pf.TwoLayer(activation), data, **{"strength": 0.1, **terms})


def verdicts(*arguments):
    return {row.name: row.verdict for row in pf.check_hypotheses(*arguments)}


def unit(points):
    return points / np.linalg.norm(points, axis=1, keepdims=True)


# --- covering radii ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", (2, 3, 4, 6))
def test_the_covering_radius_of_a_cross_polytope(d):
    """The directions ±e_k leave holes around (±1, …, ±1)/√d."""
    radius, exact = covering_radius(np.vstack([np.eye(d), -np.eye(d)]))
    assert exact == (d <= 4)
    assert radius == pytest.approx(math.acos(1 / math.sqrt(d)), abs=1e-12 if exact else 0.03)
    assert radius <= math.acos(1 / math.sqrt(d)) + 1e-12


@pytest.mark.parametrize("d", (2, 3, 4))
def test_covering_radii_against_many_directions(d):
    points, queries = unit(RNG.normal(size=(40, d))), unit(RNG.normal(size=(200_000, d)))
    brute = np.arccos(np.max(queries @ points.T, axis=1)).max()
    radius, exact = covering_radius(points)
    assert exact and brute <= radius <= brute + {2: 1e-3, 3: 0.02, 4: 0.06}[d]


@pytest.mark.parametrize("d", (2, 3, 5, 7))
def test_half_spheres_are_found_however_narrow_their_margin(d):
    points = unit(RNG.normal(size=(30, d)))
    points[:, 0] = np.abs(points[:, 0]) + 1e-3
    assert covering_radius(unit(points))[0] > math.pi / 2
    both = unit(np.vstack([points, -points]))
    assert covering_radius(both)[0] < math.pi / 2


def test_points_in_a_plane_and_single_points():
    plane = np.column_stack([unit(RNG.normal(size=(50, 2))), np.zeros(50)])
    assert covering_radius(plane)[0] >= math.pi / 2
    assert covering_radius(np.array([[1.0, 0.0]])) == (math.pi, True)
    assert covering_radius(np.array([[1.0], [-1.0]])) == (0.0, True)
    assert covering_radius(np.array([[1.0], [1.0]])) == (math.pi, True)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_relu_with_the_path_norm():
    found = verdicts(energy(), pf.sphere(200, 2, rng=0))
    assert found == {
        "risk of ∫φ dμ plus λ∫V dμ": HOLDS,
        "φ of degree 2": HOLDS,
        "V of degree 2": HOLDS,
        "loss convex": HOLDS,
        "loss smooth": HOLDS,
        "φ differentiable": VIOLATED,
        "V differentiable": VIOLATED,
        "regular values dense": HOLDS,
        "bounded support": HOLDS,
        "separation": UNDECIDED,
    }


@pytest.mark.parametrize(
    "activation, phi, smooth",
    [("linear", HOLDS, HOLDS), ("square", VIOLATED, HOLDS), ("tanh", VIOLATED, HOLDS), ("erf", VIOLATED, HOLDS)],
)
def test_activations(activation, phi, smooth):
    found = verdicts(energy(activation), pf.sphere(20, 2, rng=0))
    assert (found["φ of degree 2"], found["φ differentiable"]) == (phi, smooth)


@pytest.mark.parametrize(
    "regularizer, degree", [("norm", VIOLATED), ("squared-norm", HOLDS), ("scaled-squared-norm", VIOLATED)]
)
def test_regularizers(regularizer, degree):
    assert verdicts(energy(regularizer=regularizer), pf.sphere(20, 2, rng=0))["V of degree 2"] == degree


@pytest.mark.parametrize("loss", ("squared", "logistic", "huber"))
def test_losses_are_convex_and_smooth(loss):
    X = RNG.normal(size=(10, 2))
    found = verdicts(pf.EmpiricalEnergy(pf.TwoLayer(), (X, np.sign(X[:, 0])), loss=loss), pf.sphere(20, 2, rng=0))
    assert found["loss convex"] == found["loss smooth"] == HOLDS


@pytest.mark.parametrize("d", (1, 2, 3, 7))
@pytest.mark.parametrize("law", (pf.one_signed, pf.half_sphere))
def test_bad_starts_violate_separation(law, d):
    assert verdicts(energy(d=d), law(60, d, rng=0))["separation"] == VIOLATED


def test_on_the_line_four_particles_separate():
    a, w = np.array([1.0, 1.0, -1.0, -1.0]), np.array([[1.0], [-1.0], [1.0], [-1.0]])
    law = energy(d=1).layout
    assert verdicts(energy(d=1), pf.EmpiricalMeasure.from_blocks(law, a=a, w=w))["separation"] == HOLDS
    flat = pf.EmpiricalMeasure.from_blocks(law, a=0 * a, w=w)  # a = 0 may take either sign
    assert verdicts(energy(d=1), flat)["separation"] == HOLDS
    assert verdicts(energy(d=1), pf.EmpiricalMeasure.from_blocks(law, a=a, w=0 * w))["separation"] == VIOLATED


def test_other_networks():
    X, y = RNG.normal(size=(10, 2)), RNG.normal(size=10)
    three = pf.EmpiricalEnergy(pf.ThreeLayer(2, "relu"), (X, y), strength=0.1)
    found = verdicts(three, pf.sphere(20, three.layout, rng=0))
    assert (found["φ of degree 2"], found["V of degree 2"], found["separation"]) == (VIOLATED, VIOLATED, UNDECIDED)
    penalty = pf.Synchronization("D", strength=1.0)
    synchronized = pf.EmpiricalEnergy(pf.ThreeLayer(2, "relu"), (X, y), strength=0.1, synchronization=penalty)
    assert verdicts(synchronized, pf.sphere(20, three.layout, rng=0))["risk of ∫φ dμ plus λ∫V dμ"] == VIOLATED
    hard = pf.EmpiricalEnergy(pf.HardSynchronized(pf.exact_supports(20, 2, rng=0)), (X, y))
    assert list(verdicts(hard, pf.gaussian(20, hard.layout, rng=0)).values()) == [VIOLATED]
    population = pf.PopulationEnergy(pf.TwoLayer("relu"), RNG.normal(size=(2, 4)), strength=0.1)
    assert verdicts(population, pf.sphere(20, 3, rng=0))["regular values dense"] == UNDECIDED


def test_what_is_no_network_or_does_not_fit_is_refused():
    kernel = pf.KernelEnergy(pf.quadratic_aggregation(1.0), 2)
    with pytest.raises(pf.InvalidInput, match="energy of a network, found a KernelEnergy"):
        pf.check_hypotheses(kernel, pf.gaussian(5, kernel.layout, rng=0))
    with pytest.raises(pf.InvalidInput, match="4 numbers each and the energy expects 3"):
        pf.check_hypotheses(energy(), pf.sphere(5, 3, rng=0))


# --- what is printed --------------------------------------------------------------------------------------------------


def test_the_table_as_text_and_html():
    table = pf.check_hypotheses(energy(), pf.one_signed(20, 2, rng=0))
    lines = str(table).splitlines()
    assert len(lines) == 10 and lines[-1].split()[:2] == ["separation", "violated"]
    assert table["separation"].evidence == "no particle has a < 0"
    html = table._repr_html_()
    assert html.count("<tr>") == 11 and "a &lt; 0" in html


def test_the_command(tmp_path, capsys):
    (tmp_path / "data.csv").write_text("x,y\n0,1\n1,-1\n2,1\n")
    config = (
        '[data]\nfile = "data.csv"\ntarget = "y"\nbias = true\n[flow]\nt_end = 1.0\n[initial]\nlaw = "one-signed"\n'
    )
    (tmp_path / "run.toml").write_text(config)
    assert main(["hypotheses", str(tmp_path / "run.toml")]) == 0
    assert "separation" in capsys.readouterr().out
    assert main(["hypotheses", str(tmp_path / "run.toml"), "--json", "--set", "model.activation=tanh"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows["separation"]["verdict"] == VIOLATED and rows["φ differentiable"]["verdict"] == HOLDS
