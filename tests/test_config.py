"""Configurations: TOML and back, paths, changes from the command line, and what `build` makes of them."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf

MINIMAL = """
[data]
source = "teacher"
n = 5
d = 2
[model]
particles = 4
[flow]
t_end = 1.0
"""

ACTIVATIONS = ("relu", "erf", "tanh", "sigmoid", "square", "linear")
ADAPTIVE, FIXED = ("bs23", "dopri5"), ("euler", "heun", "rk4")


# --- TOML and back ----------------------------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text)
positive = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False) | st.integers(1, 10**9)
nonnegative = st.just(0) | st.just(0.0) | positive
finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
teachers = (
    st.builds(pf.TeacherConfig, neurons=st.integers(min_value=1), activation=st.sampled_from(ACTIVATIONS)) | st.none()
)
data = st.builds(
    pf.DataConfig,
    file=words,
    target=st.none() | words,
    features=st.none() | st.lists(words, min_size=1, max_size=3) | st.tuples(words),
    bias=st.booleans(),
    standardize=st.booleans(),
    test_fraction=st.floats(0, 1, exclude_max=True),
) | st.builds(
    pf.DataConfig,
    source=st.just("teacher"),
    n=st.integers(1, 10**6),
    d=st.integers(1, 100),
    teacher=teachers,
    bias=st.booleans(),
)
models = st.builds(
    pf.ModelConfig,
    particles=st.integers(min_value=1),
    kind=st.just("two-layer"),
    activation=st.sampled_from(ACTIVATIONS),
)
energies = st.builds(
    pf.EnergyConfig,
    loss=st.sampled_from(["squared", "logistic", "huber"]),
    regularizer=st.sampled_from(["path-norm", "norm", "squared-norm", "none"]),
    strength=nonnegative,
    kernel=st.just("empirical"),
)
initials = st.builds(
    pf.InitialConfig,
    law=st.sampled_from(["sphere", "gaussian", "half-sphere", "one-signed", "circle-grid"]),
    radius=positive,
) | st.builds(pf.InitialConfig, law=st.just("file"), file=words)
stops = st.fixed_dictionaries({}, optional={"stationary": positive, "wall_clock": positive, "energy": finite})
flows = st.builds(
    pf.FlowConfig,
    t_end=positive,
    method=st.sampled_from(ADAPTIVE + FIXED),
    rtol=positive,
    atol=nonnegative,
    step=st.none() | positive,
    frames=st.integers(min_value=1) | st.lists(positive, min_size=1, max_size=5, unique=True).map(sorted),
    stop=stops,
)
configs = st.builds(
    pf.Config,
    data=data,
    model=models,
    flow=flows,
    energy=energies,
    initial=initials,
    output=st.builds(pf.OutputConfig, file=st.none() | words),
    seed=st.integers(min_value=0),
)


@given(configs)
def test_toml_and_back(config):
    assert pf.read_config(config.to_toml()) == config


@given(config=configs)
def test_a_written_file_and_back(tmp_path_factory, config):
    path = tmp_path_factory.mktemp("configs") / "run.toml"
    path.write_bytes(config.to_toml().encode())
    assert pf.load_config(path) == config


def test_a_minimal_text_has_the_documented_defaults():
    config = pf.read_config(MINIMAL)
    assert config == pf.Config(
        data=pf.DataConfig(source="teacher", n=5, d=2, bias=False, standardize=False, test_fraction=0.0),
        model=pf.ModelConfig(particles=4, kind="two-layer", activation="relu"),
        energy=pf.EnergyConfig(loss="squared", regularizer="path-norm", strength=0.0, kernel="empirical"),
        initial=pf.InitialConfig(law="sphere", radius=1.0),
        flow=pf.FlowConfig(t_end=1.0, method="dopri5", frames=100, stop={}),
        seed=0,
    )


def test_lists_and_tuples_are_the_same():
    features = [pf.DataConfig(file="x.csv", features=sequence) for sequence in (["a", "b"], ("a", "b"))]
    assert features[0] == features[1]
    assert pf.FlowConfig(t_end=2.0, frames=[1, 2]) == pf.FlowConfig(t_end=2.0, frames=(1, 2))


def test_configurations_cannot_be_changed():
    with pytest.raises(AttributeError):
        pf.read_config(MINIMAL).seed = 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pf.ModelConfig(particles=0), "model.particles = 0"),
        (lambda: pf.FlowConfig(t_end=float("nan")), "flow.t_end = nan"),
        (lambda: pf.FlowConfig(t_end=1.0, frames=[2, 1]), "flow.frames = (2, 1)"),
        (lambda: pf.EnergyConfig(strength=-1e-300), "energy.strength = -1e-300"),
        (lambda: pf.DataConfig(), "data.file is missing"),
        (lambda: pf.DataConfig(source="teacher", n=3), "data.d is missing"),
        (lambda: pf.DataConfig(source="teacher", n=3, d=2, file="x.csv"), "data.file does not apply"),
        (lambda: pf.DataConfig(file="x.csv", n=3), "data.n does not apply"),
        (lambda: pf.InitialConfig(law="file"), "initial.file"),
        (lambda: pf.InitialConfig(file="x.npz"), "initial.file"),
    ],
)
def test_tables_are_checked_when_made_in_python(make, message):
    with pytest.raises(pf.InvalidInput) as caught:
        make()
    assert message in str(caught.value)


# --- changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("seed=7", lambda config: config.seed == 7),
        ("energy.strength=1e-2", lambda config: config.energy.strength == 0.01),
        (" flow.rtol = 1e-4 ", lambda config: config.flow.rtol == 1e-4),
        ("model.activation=tanh", lambda config: config.model.activation == "tanh"),
        ('model.activation="tanh"', lambda config: config.model.activation == "tanh"),
        ("data.bias=true", lambda config: config.data.bias is True),
        ("flow.frames=[0.25, 0.5, 1]", lambda config: config.flow.frames == (0.25, 0.5, 1)),
        ("flow.stop.energy=-0.5", lambda config: config.flow.stop == {"energy": -0.5}),
        ("flow.stop={wall_clock = 3, energy = 1}", lambda config: config.flow.stop == {"wall_clock": 3, "energy": 1}),
        ("data.teacher.neurons=3", lambda config: config.data.teacher == pf.TeacherConfig(neurons=3)),
        ("output.file=some folder/run-2.h5", lambda config: config.output.file == "some folder/run-2.h5"),
        ("output.file=a=b.h5", lambda config: config.output.file == "a=b.h5"),
    ],
)
def test_changes(change, read):
    assert read(pf.read_config(MINIMAL, changes=[change]))


def test_changes_apply_in_order_and_only_where_they_say():
    config = pf.read_config(MINIMAL, changes=["seed=7", "model.particles=9", "seed=8"])
    assert (config.seed, config.model.particles) == (8, 9)
    assert (config.data, config.flow) == (pf.read_config(MINIMAL).data, pf.read_config(MINIMAL).flow)


def test_a_list_of_texts_as_a_change():
    text = MINIMAL.replace('source = "teacher"\nn = 5\nd = 2', 'file = "x.csv"')
    config = pf.read_config(text, changes=['data.features=["a b", "c"]'])
    assert config.data.features == ("a b", "c")


@pytest.mark.parametrize("change", ["seed", "=3", ".seed=3", "energy..strength=1", "energy.=1", "seed.x=3", ""])
def test_malformed_changes(change):
    with pytest.raises(pf.InvalidInput, match="--set "):
        pf.read_config("seed = 1\n" + MINIMAL, changes=[change])


@given(st.text(string.printable, max_size=30))
def test_any_change_is_applied_or_refused(change):
    try:
        config = pf.read_config(MINIMAL, changes=[change])
    except pf.InvalidInput as error:
        assert str(error)
    else:
        assert pf.read_config(config.to_toml()) == config


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(pf.InvalidInput):  # no short text holds the three tables that are needed
        pf.read_config(text)


# --- what is built ----------------------------------------------------------------------------------------------------


def test_paths_are_relative_to_the_configuration_file(tmp_path, monkeypatch):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home / "configs", home / "data", elsewhere):
        folder.mkdir(parents=True)
    (home / "data" / "line.csv").write_text("x,y\n0,1\n1,3\n2,5\n")
    np.savez(home / "data" / "start.npz", a=[1.0, 2.0], w=[[3.0], [4.0]])
    (home / "configs" / "run.toml").write_text(
        """
        data = { file = "../data/line.csv", target = "y" }
        model = { particles = 2 }
        initial = { law = "file", file = "../data/start.npz" }
        flow = { t_end = 0.01, frames = 1 }
        output = { file = "out.h5" }
        """
    )
    monkeypatch.chdir(elsewhere)
    config = pf.load_config("../home/configs/run.toml")
    energy, measure = config.build()
    np.testing.assert_array_equal(energy.data.X, [[0.0], [1.0], [2.0]])
    np.testing.assert_array_equal(energy.data.y, [1.0, 3.0, 5.0])
    np.testing.assert_array_equal(measure.particles, [[1.0, 3.0], [2.0, 4.0]])
    config.run()
    assert (home / "configs" / "out.h5").is_file()
    assert not list(elsewhere.iterdir())


def test_build_follows_every_table(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "cloud.npz", X=rng.normal(size=(20, 3)), y=rng.choice([-1.0, 1.0], size=20))
    config = pf.read_config(
        """
        seed = 3
        data = { file = "cloud.npz", bias = true, standardize = true, test_fraction = 0.25 }
        model = { particles = 8, activation = "erf" }
        energy = { loss = "logistic", regularizer = "norm", strength = 0.5 }
        initial = { law = "half-sphere", radius = 2.0 }
        flow = { t_end = 1.0 }
        """,
        folder=tmp_path,
    )
    energy, measure = config.build()
    assert (energy.data.n, energy.data.n_test, energy.data.d) == (15, 5, 4)
    np.testing.assert_allclose(energy.data.X[:, :3].mean(axis=0), 0, atol=1e-15)
    np.testing.assert_array_equal(energy.data.X[:, 3], 1)
    assert (energy.loss.name, energy.regularizer.name, energy.strength) == ("logistic", "norm", 0.5)
    assert energy.model.activation.name == "erf"
    assert measure.m == 8
    assert (measure["w"][:, 0] >= 0).all()
    np.testing.assert_array_equal(np.abs(measure["a"]), 2.0)


def test_the_seed_decides_everything_random():
    first, again, other = (pf.read_config(f"seed = {seed}" + MINIMAL).build() for seed in (1, 1, 2))
    for left, right, same in ((first, again, True), (first, other, False)):
        assert np.array_equal(left[0].data.X, right[0].data.X) == same
        assert np.array_equal(left[0].data.y, right[0].data.y) == same
        assert np.array_equal(left[1].particles, right[1].particles) == same


def test_particles_do_not_depend_on_how_many_random_numbers_the_data_take():
    few, many = (pf.read_config(MINIMAL, changes=[f"data.n={n}"]).build()[1] for n in (5, 500))
    np.testing.assert_array_equal(few.particles, many.particles)


def test_a_teacher_labels_by_its_own_activation():
    config = pf.read_config(MINIMAL, changes=["data.teacher={neurons = 1, activation = 'linear'}", "data.bias=true"])
    data = config.build()[0].data
    assert data.d == 3
    coefficients, _, rank, _ = np.linalg.lstsq(data.X, data.y, rcond=None)
    assert rank == 3
    np.testing.assert_allclose(data.X @ coefficients, data.y, atol=1e-12)
    np.testing.assert_allclose(data.X_test @ coefficients, data.y_test, atol=1e-12)


def test_running_a_configuration_is_solving_what_it_builds():
    config = pf.read_config(
        MINIMAL,
        changes=["flow.frames=[0.5]", "flow.method=rk4", "flow.step=0.25", "flow.stop.energy=-1", "seed=5"],
    )
    energy, measure = config.build()
    expected = pf.solve(energy, measure, 1.0, method="rk4", step=0.25, frames=[0.5])
    result = config.run()
    np.testing.assert_array_equal(result.measure.particles, expected.measure.particles)
    np.testing.assert_array_equal(result.observables["time"], [0, 0.5, 1])


@pytest.mark.parametrize(
    ("stop", "status"), [("stationary=1e9", "stationary"), ("energy=1e9", "finished"), ("wall_clock=1e-9", "budget")]
)
def test_stop_rules_reach_the_flow(stop, status):
    result = pf.read_config(MINIMAL, changes=[f"flow.stop.{stop}"]).run()
    assert (result.status, result.steps) == (status, 1)


POPULATION = """
[data]
source = "teacher"
d = 3
teacher = { neurons = 2 }
[model]
activation = "erf"
particles = 5
[energy]
kernel = "population"
[flow]
t_end = 1.0
frames = 3
"""


def test_population_kernel_needs_no_data(tmp_path):
    config = pf.read_config(POPULATION)
    assert pf.read_config(config.to_toml()) == config
    energy, _ = config.build()
    assert energy.teacher.shape == (2, 4)
    result = config.run(tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        assert trajectory.data is None
        np.testing.assert_array_equal(trajectory._file["data/teacher"], energy.teacher)
    relative = result.observables["risk"] / energy.pairs.constant
    np.testing.assert_allclose(result.observables["test_error"], relative, rtol=1e-14)


@pytest.mark.parametrize(
    ("change", "words"),
    {
        "model.activation=tanh": "no closed form for tanh; valid: relu, erf, square, linear",
        "energy.loss=huber": "energy.loss = 'huber'",
        "data.n=5": "data.n = 5",
        "data.bias=true": "data.bias = True",
        "data.teacher.activation=relu": "data.teacher.activation = 'relu'",
        "data={file = 'x.csv'}": "needs a teacher",
    }.items(),
)
def test_what_does_not_go_with_the_population_kernel(change, words):
    with pytest.raises(pf.InvalidInput, match=words):
        pf.read_config(POPULATION, changes=[change]).build()
