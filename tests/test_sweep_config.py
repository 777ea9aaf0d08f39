"""Sweeps as configurations: which runs they are, and what is refused before any of them begins."""

import numpy as np
import pytest

import particleflow as pf

BASE = """\
seed = 3

[data]
file = "data.csv"
target = "y"
bias = true

[model]
particles = 6

[flow]
t_end = 0.01
frames = 2
"""


@pytest.fixture
def read(tmp_path):
    """A function that reads a sweep of the base configuration with these lines in [sweep]."""
    (tmp_path / "data.csv").write_text("x,y\n0,1\n1,-1\n2,1\n3,-1\n")

    def read(lines, base=BASE, **options):
        return pf.read_sweep(f"{base}\n[sweep]\n{lines}\n", folder=tmp_path, **options)

    return read


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ("[1, 2, 5]", [1, 2, 5]),
        ("{ range = 3 }", [0, 1, 2]),
        ("{ range = [2, 5] }", [2, 3, 4]),
        ("{ range = [9, 2, -3] }", [9, 6, 3]),
        ("{ log = [1e-4, 1e-1, 4] }", [1e-4, 1e-3, 1e-2, 1e-1]),
        ("{ log = [8, 2, 3] }", [8, 4, 2]),
        ("{ linear = [0, 1, 5] }", [0, 0.25, 0.5, 0.75, 1]),
    ],
)
def test_values_of_a_key(given, values, read):
    found = read(f'"energy.strength" = {given}').values["energy.strength"]
    np.testing.assert_allclose(found, values, rtol=1e-14)
    assert found[0] == values[0]
    assert found[-1] == values[-1]


def test_product_and_zipped(read):
    keys = '"model.particles" = [2, 4, 8]\nseed = [0, 1, 2]\n'
    product, zipped = read(keys), read(f'{keys}combine = "zipped"')
    pairs = [(run.parameters["model.particles"], run.parameters["seed"]) for run in product.runs]
    assert pairs == [(m, seed) for m in (2, 4, 8) for seed in (0, 1, 2)]
    assert [(run.config.model.particles, run.config.seed) for run in product.runs] == pairs
    assert [tuple(run.parameters.values()) for run in zipped.runs] == [(2, 0), (4, 1), (8, 2)]


def test_keys_may_be_written_as_tables(read):
    assert read("model.particles = [2, 4]").values == read('"model.particles" = [2, 4]').values
    temperatures = '"flow.temperature" = [{ initial = 1.0, law = "power" }, 0.5]\n"flow.method" = ["langevin"]'
    configs = [run.config for run in read(f'{temperatures}\n"flow.step" = [0.01]').runs]
    assert [config.flow.temperature for config in configs] == [{"initial": 1.0, "law": "power"}, 0.5]


def test_a_sweep_is_printed_back(read):
    sweep = read('"model.particles" = [2, 4]\nseed = { range = 2 }\ncombine = "zipped"')
    again = pf.read_sweep(sweep.to_toml(), folder=sweep.folder)
    assert again == sweep
    assert [run.file_name for run in again.runs] == [run.file_name for run in sweep.runs]


def test_a_run_is_the_run_of_its_configuration(read, tmp_path):
    (run,) = read('"model.particles" = [5]\nseed = [7]').runs
    assert run.config == pf.read_config(BASE, folder=tmp_path, changes=["model.particles=5", "seed=7"])


def test_fingerprints_tell_runs_apart(read, tmp_path):
    lines = '"model.particles" = [2, 4]\nseed = { range = 2 }'
    first = [run.fingerprint for run in read(lines).runs]
    assert len(set(first)) == 4
    assert [run.fingerprint for run in read(lines, BASE + '[output]\nfile = "a.h5"\n').runs] == first
    (tmp_path / "data.csv").write_text("x,y\n0,1\n1,-1\n2,1\n3,-2\n")
    assert not set(first) & {run.fingerprint for run in read(lines).runs}


REFUSED = {
    '"model.neurons" = [1, 2]': ["model.neurons is unknown", "particles, kind"],
    '"modle.particles" = [1, 2]': ["modle is unknown"],
    '"seed.x" = [1]': ["seed"],
    '"model.particles" = []': ['sweep."model.particles" = []', "lists with a value"],
    '"model.particles" = 5': ['sweep."model.particles" = 5', "a list of values"],
    '"model.particles" = [2, 0]': ["model.particles = 0", "integers from 1"],
    '"model.particles" = { log = [2, 8, 3] }': ["model.particles = 2.0", "integers from 1"],
    '"model.particles" = { square = 3 }': ['sweep."model.particles.square" = 3'],
    '"model.particles" = [2, 4]\nseed = [0]\ncombine = "zipped"': ["differ in length", "has 2", "has 1"],
    'seed = [0]\ncombine = "zip"': ["sweep.combine = 'zip'", "product, zipped"],
    "seed = { range = 0 }": ['sweep."seed" = { range = 0 }', "0 values"],
    "seed = { range = [1, 5, 0] }": ["range = [1, 5, 0]", "[start, stop, step]"],
    "seed = { range = 1.5 }": ["range = 1.5"],
    "seed = { range = 1000000000000 }": ["1000000000000 values"],
    'seed = { range = 2000 }\n"energy.strength" = { linear = [0, 1, 2000] }': ["4000000 runs", "up to 100000"],
    '"energy.strength" = { log = [0, 1, 5] }': ["log = [0, 1, 5]", "above 0"],
    '"energy.strength" = { log = [1, 2] }': ["log = [1, 2]", "[a, b, n]"],
    '"energy.strength" = { linear = [0, 1, -3] }': ["linear = [0, 1, -3]"],
    "": ["names no key"],
    '"output.file" = ["a.h5", "b.h5"]': ['"output.file"', "cannot be swept"],
    '"flow" = [{ t_end = 1.0 }]\n"flow.t_end" = [2.0]': ["set the same key"],
    "seed = [1, 2, 1]": ["the same run twice", "seed = 1"],
    # what a run reads and builds is checked too
    '"data.file" = ["data.csv", "other.csv"]': ["other.csv"],
    '"data.target" = ["y", "z"]': ["z"],
    '"flow.method" = ["dopri5", "sgd"]': ["flow.t_end = 0.01 does not apply to sgd"],
    '"flow.stop" = [{}, { gap = 1e-3 }]': ["λ > 0"],
    '"flow.frames" = [[0.001, 0.01], [0.5]]': ["flow.frames"],
    '"initial.law" = ["sphere", "cube"]': ["initial.law = 'cube'"],
    '"model.activation" = ["relu", "erf"]\n"energy.regularizer" = ["none", "l1"]': ["energy.regularizer = 'l1'"],
}


@pytest.mark.parametrize("lines", REFUSED)
def test_what_cannot_be_swept_is_refused_in_one_sentence(lines, read):
    with pytest.raises(pf.InvalidInput) as error:
        assert read(lines).runs
    assert "\n" not in str(error.value)
    for part in REFUSED[lines]:
        assert part in str(error.value)


def test_a_configuration_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(pf.InvalidInput, match=r"no table \[sweep\]"):
        pf.read_sweep(BASE)
    with pytest.raises(pf.InvalidInput, match="does not exist"):
        pf.load_sweep(tmp_path / "none.toml")
