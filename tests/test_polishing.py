"""Polishing: from any measure to the global minimum, proved by the certificate, which is other code."""

import json
from pathlib import Path

import numpy as np
import pytest

import particleflow as pf
from particleflow.cli import main

KINDS = ("teacher", "random labels", "xor", "sine")
LOSSES = ("squared", "logistic", "huber")


def instance(number, loss="squared"):
    """Return the energy of one of the problems: n from 10 to 120, λ from 1e-3 to 1e-1, d = 2."""
    rng = np.random.default_rng(1000 + number)
    n, kind = int(rng.integers(10, 121)), KINDS[number % len(KINDS)]
    X = rng.standard_normal((n, 2))
    if kind == "teacher":
        y = np.maximum(X @ rng.standard_normal((2, 4)), 0.0) @ rng.standard_normal(4)
    elif kind == "random labels":
        y = rng.choice([-1.0, 1.0], n)
    elif kind == "xor":
        y = np.sign(X[:, 0] * X[:, 1])
    else:
        X[:, 1], y = 1.0, np.sin(3 * X[:, 0]) + 0.1 * rng.standard_normal(n)
    y = np.where(y > 0, 1.0, -1.0) if loss == "logistic" else y
    return pf.EmpiricalEnergy(pf.TwoLayer("relu"), (X, y), loss=loss, strength=10 ** rng.uniform(-3, -1))


def narrow(m, rng):
    """Return a measure whose directions fill a thousandth of the circle."""
    t = 1.0 + 6e-3 * np.random.default_rng(rng).random(m)
    w = np.column_stack([np.cos(t), np.sin(t)])
    return pf.EmpiricalMeasure.from_blocks(pf.TwoLayer("relu").layout(2), a=np.full(m, -1.0), w=w)


STARTS = {
    "untrained": lambda seed: pf.sphere(100, 2, rng=seed),
    "one sign": lambda seed: pf.one_signed(60, 2, rng=seed),
    "half of the directions": lambda seed: pf.half_sphere(60, 2, rng=seed),
    "a narrow arc": lambda seed: narrow(40, seed),
    "tiny": lambda seed: pf.gaussian(30, 2, radius=1e-8, rng=seed),
    "huge": lambda seed: pf.gaussian(100, 2, radius=1e4, rng=seed),
    "nothing": lambda seed: pf.EmpiricalMeasure(np.zeros((1, 3)), pf.TwoLayer("relu").layout(2)),
}


def check(energy, measure, polished):
    """Hold what came out against the energy, the certificate and a balanced network."""
    found = polished.measure
    certificate = pf.certify(energy, found)
    assert certificate.verdict == "proof"
    assert certificate.relative_gap == polished.certificate.relative_gap <= 1e-8
    assert polished.certificate.energy <= polished.start.energy * (1 + 1e-12)
    assert polished.start.energy == pytest.approx(energy.value(measure.particles), rel=1e-12)
    assert energy.value(found.particles) == pytest.approx(certificate.energy, rel=1e-12)
    assert found.m == max(polished.atoms, 1) <= energy.data.n + 1
    np.testing.assert_allclose(found["a"] ** 2, np.sum(found["w"] ** 2, axis=1), rtol=1e-12)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("number", range(24))
def test_every_start_is_polished_to_the_global_minimum(number, start):
    energy, measure = instance(number), STARTS[start](number)
    check(energy, measure, pf.polish(energy, measure))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("number", range(6))
def test_every_loss(number, loss):
    energy, measure = instance(number, loss), pf.sphere(50, 2, rng=number)
    check(energy, measure, pf.polish(energy, measure))


@pytest.mark.parametrize("case", range(45))
def test_data_of_every_kind(case):
    """On a lattice, with a bias, on a line, each datum twice; from starts that are far too large, and one-signed."""
    rng = np.random.default_rng(case)
    n, loss = int(rng.integers(1, 150)), LOSSES[case % 3]
    kinds = (
        lambda: rng.integers(-3, 4, (n, 2)).astype(float),
        lambda: np.column_stack([rng.standard_normal(n), np.ones(n)]),
        lambda: np.outer(rng.standard_normal(n), [1.0, -2.0]),
        lambda: np.repeat(rng.standard_normal((n, 2)), 2, axis=0)[:n],
    )
    data, strength = (kinds[case % 4](), rng.choice([-1.0, 1.0], n)), 10 ** rng.uniform(-3, -1)
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), data, loss=loss, strength=strength)
    for measure in (pf.gaussian(20, 2, radius=100.0, rng=case), pf.one_signed(30, 2, rng=case)):
        check(energy, measure, pf.polish(energy, measure))


@pytest.mark.parametrize("number", range(4))
def test_a_trained_measure_needs_no_more_iterations_than_nothing(number):
    energy = instance(number)
    result = pf.solve(energy, pf.sphere(60, 2, rng=0), t_end=50.0, rtol=1e-3, frames=2)
    polished = pf.polish(energy, result.measure)
    check(energy, result.measure, polished)
    optimum = pf.global_minimum(energy.data, strength=energy.strength)
    assert polished.iterations <= optimum.iterations
    assert polished.certificate.energy == pytest.approx(optimum.energy, rel=1e-8)


def test_the_minimum_stays_where_it_is():
    energy = instance(1)
    first = pf.polish(energy, pf.sphere(50, 2, rng=0))
    again = pf.polish(energy, first.measure)
    assert again.iterations <= 1
    assert again.certificate.energy == pytest.approx(first.certificate.energy, rel=1e-13)


@pytest.mark.parametrize("measure", [pf.sphere(9, 1, rng=0), pf.one_signed(3, 1, rng=0)])
def test_on_the_line(measure):
    """x = ±1, one atom each: ½(c − y)² + λc."""
    energy = pf.EmpiricalEnergy(pf.TwoLayer("relu"), ([[-1.0], [1.0]], [2.0, -3.0]), strength=0.2)
    polished = pf.polish(energy, measure)
    check(energy, measure, polished)
    assert polished.certificate.energy == pytest.approx(0.2 * 5 - 0.2**2, rel=1e-13)
    assert polished.atoms == 2


def test_where_nothing_can_be_learnt():
    zero = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (np.zeros((3, 2)), [1.0, 2.0, 3.0]), strength=0.1)
    polished = pf.polish(zero, pf.sphere(5, 2, rng=0))
    assert polished.certificate.energy == pytest.approx(14 / 3)
    strong = pf.EmpiricalEnergy(pf.TwoLayer("relu"), (np.eye(2), [1.0, -1.0]), strength=9.0)
    polished = pf.polish(strong, pf.sphere(5, 2, rng=0))
    assert (polished.atoms, polished.measure.m, polished.certificate.energy) == (0, 1, 1.0)


def test_atoms_to_start_from_are_checked():
    data = np.eye(2), [1.0, -1.0]
    for start in ((np.ones((2, 3)), np.ones(2)), (np.ones((2, 2)), np.ones(3)), (np.ones((1, 2)), [np.nan])):
        with pytest.raises(pf.InvalidInput, match="start has the shapes"):
            pf.global_minimum(data, strength=0.1, start=start)
    least = pf.global_minimum(data, strength=0.1).energy
    started = pf.global_minimum(data, strength=0.1, start=(np.array([[0.0, 5.0], [0.0, 0.0]]), [-3.0, 1.0]))
    assert started.energy == pytest.approx(least, rel=1e-12)


# --- refusals ---------------------------------------------------------------------------------------------------------

X, Y = np.eye(3), np.array([1.0, -1.0, 1.0])


def of(model=None, d=2, **options):
    return pf.EmpiricalEnergy(model or pf.TwoLayer("relu"), (X[:, :d], Y), **{"strength": 0.1, **options})


REFUSED = {
    "erf": of(pf.TwoLayer("erf")),
    'activation = "linear"': of(pf.TwoLayer("linear")),
    '"none"': of(regularizer="none"),
    "λ = 0": of(strength=0.0),
    "three-layer": of(pf.ThreeLayer(2)),
    "d = 3": of(d=3),
    "PopulationEnergy": pf.PopulationEnergy(pf.TwoLayer("relu"), np.ones((1, 3)), strength=0.1),
}


@pytest.mark.parametrize("words", REFUSED)
def test_where_nothing_can_be_polished_one_sentence_says_so(words):
    energy = REFUSED[words]
    with pytest.raises(pf.InvalidInput) as refusal:
        pf.polish(energy, pf.EmpiricalMeasure(np.ones((4, energy.layout.size)), energy.layout))
    assert words in str(refusal.value).replace("'", '"')
    assert "\n" not in str(refusal.value)


def test_measures_that_do_not_fit_are_refused():
    with pytest.raises(pf.InvalidInput, match="numbers each"):
        pf.polish(of(), pf.sphere(4, 3, rng=0))
    with pytest.raises(pf.InvalidInput, match="finite"):
        pf.polish(of(), pf.EmpiricalMeasure(np.full((2, 3), 1e200), of().layout))


# --- the command line -------------------------------------------------------------------------------------------------

CONFIG = """\
[data]
source = "teacher"
n = 30
d = 2

[model]
particles = 20

[energy]
strength = 1e-2

[flow]
t_end = 1.0
rtol = 1e-3
frames = 2
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    file = tmp_path_factory.mktemp("polishing") / "run.h5"
    pf.read_config(CONFIG).run(file)
    return file


def test_command_line(stored, tmp_path, capsys):
    cloud = tmp_path / "cloud.npz"
    command = ["certify", str(stored), "--polish"]
    assert main([*command, "--frame", "1", "-o", str(cloud)]) == 0
    text = capsys.readouterr().out
    assert "no longer the flow" in text
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    polished = found["polished"]
    assert (found["time"], polished["time"], polished["verdict"]) == (1.0, None, "proof")
    assert polished["relative_gap"] <= 1e-8 < found["relative_gap"]
    energy, _ = pf.read_config(CONFIG).build()
    least = pf.global_minimum(energy.data, strength=1e-2).energy
    assert polished["energy"] == pytest.approx(least, rel=1e-8)
    measure = pf.measure_from_file(cloud, energy.layout)
    assert energy.value(measure.particles) == pytest.approx(least, rel=1e-8)
    assert main([*command, "-o", str(cloud)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*command, "-o", str(cloud), "--overwrite"]) == 0


def test_command_line_refusals(stored, tmp_path, capsys):
    assert main(["certify", str(stored), "-o", "cloud.npz"]) == 2
    assert "goes with --polish" in capsys.readouterr().err
    assert main(["certify", str(stored), "--polish", "-o", "cloud.csv"]) == 2
    assert "valid: .npz" in capsys.readouterr().err
    for change, words in {"model.activation=erf": '"erf"', "energy.strength=0": "λ = 0", "data.d=3": "d = 3"}.items():
        file = tmp_path / f"{change}.h5"
        pf.read_config(CONFIG, changes=[change, "flow.t_end=1e-3", "model.particles=4"]).run(file)
        assert main(["certify", str(file), "--polish"]) == 2
        error = capsys.readouterr().err
        assert words in error
        assert error.count("\n") == 1


def test_the_start_of_the_demo_is_polished_to_its_minimum():
    energy, measure = pf.load_config(Path(__file__).parent.parent / "examples" / "treasury_bill.toml").build()
    polished = pf.polish(energy, measure)
    check(energy, measure, polished)
    optimum = pf.global_minimum(energy.data, strength=energy.strength)
    assert polished.certificate.energy == pytest.approx(optimum.energy, rel=1e-8)
