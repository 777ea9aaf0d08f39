"""Configurations: TOML and back, paths, changes from the command line, and what `build` makes of them."""

import string

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import particleflow as pf
from particleflow.summary import summarize, to_text

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
COOLING = ("constant", "exponential", "power", "logarithmic")


# --- TOML and back ----------------------------------------------------------------------------------------------------

counts = st.integers(1, 10**12)
words = st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text)
positive = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False) | st.integers(1, 10**9)
nonnegative = st.just(0) | st.just(0.0) | positive
finite = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**30), 10**30)
teachers = st.builds(pf.TeacherConfig, neurons=counts, activation=st.sampled_from(ACTIVATIONS)) | st.none()
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
two_layer = st.builds(
    pf.ModelConfig,
    particles=counts,
    kind=st.just("two-layer"),
    activation=st.sampled_from(ACTIVATIONS),
)
three_layer = st.builds(pf.ModelConfig, kind=st.just("three-layer"), s=st.integers(2, 9))
hard = st.builds(
    pf.ModelConfig,
    kind=st.just("hard-synchronized"),
    s=st.none() | st.integers(1, 50),
    supports=st.none() | st.sampled_from(["exact", "bernoulli"]),
) | st.builds(
    pf.ModelConfig,
    kind=st.just("hard-synchronized"),
    supports=st.just("circulant"),
    offsets=st.lists(st.integers(-3, 3), min_size=1, unique=True),
)
risk = {
    "loss": st.sampled_from(["squared", "logistic", "huber"]),
    "regularizer": st.sampled_from(["path-norm", "norm", "squared-norm", "scaled-squared-norm", "none"]),
    "strength": nonnegative,
}
energies = st.builds(pf.EnergyConfig, kernel=st.just("empirical"), **risk)
penalties = st.builds(
    pf.SynchronizationConfig, strength=nonnegative, term=st.just("sum-w2"), rows=st.sampled_from(["W", "uW"])
)
initials = st.builds(
    pf.InitialConfig,
    law=st.sampled_from(["sphere", "gaussian", "half-sphere", "one-signed", "circle-grid"]),
    radius=positive,
) | st.builds(pf.InitialConfig, law=st.just("file"), file=words)
stops = st.fixed_dictionaries(
    {}, optional={"stationary": positive, "wall_clock": positive, "energy": finite, "gap": positive}
)
run = {
    "frames": counts | st.lists(positive, min_size=1, max_size=5, unique=True).map(sorted),
    "stop": stops,
}
temperatures = nonnegative | st.fixed_dictionaries(
    {"initial": nonnegative}, optional={"law": st.sampled_from(COOLING), "time": positive}
)
flows = st.one_of(
    st.builds(pf.FlowConfig, t_end=positive, method=st.sampled_from(ADAPTIVE), rtol=positive, atol=nonnegative, **run),
    st.builds(
        pf.FlowConfig,
        t_end=positive,
        method=st.sampled_from(FIXED),
        step=positive,
        monotone=st.none() | st.booleans(),
        **run,
    ),
    st.builds(
        pf.FlowConfig, t_end=positive, method=st.just("langevin"), step=positive, temperature=temperatures, **run
    ),
    st.builds(
        pf.FlowConfig,
        method=st.sampled_from(["sgd", "adam"]),
        learning_rate=positive,
        steps=counts,
        batch_size=st.none() | counts,
        **run,
    ),
)
rest = {"output": st.builds(pf.OutputConfig, file=st.none() | words), "seed": st.integers(min_value=0), "flow": flows}
by_layout = st.builds(pf.InitialConfig, law=st.none() | st.sampled_from(["sphere", "gaussian"]), radius=positive)
pair_kernels = st.builds(
    pf.EnergyConfig,
    kernel=st.sampled_from(["log-gas", "kuramoto"]),
    parameters=st.dictionaries(words, finite.map(float) | st.lists(st.floats(-1, 1)), max_size=3),
)
points = st.builds(pf.InitialConfig, law=st.just("uniform"), low=st.floats(-1, 0), high=st.floats(0.5, 1)) | st.builds(
    pf.InitialConfig, law=st.none() | st.just("gaussian"), radius=st.none() | positive
)
configs = st.one_of(
    st.builds(pf.Config, data=data, model=two_layer, energy=energies, initial=initials, **rest),
    st.builds(pf.Config, data=data, model=hard, energy=energies, initial=by_layout, **rest),
    st.builds(
        pf.Config,
        data=data,
        model=three_layer,
        energy=st.builds(pf.EnergyConfig, synchronization=st.none() | penalties, **risk),
        initial=by_layout,
        **rest,
    ),
    st.builds(
        pf.Config,
        model=st.builds(pf.ModelConfig, kind=st.just("particles"), d=st.none() | st.integers(1, 3)),
        energy=pair_kernels,
        initial=points,
        **rest,
    ),
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
        (lambda: pf.FlowConfig(), "flow.t_end is missing"),
        (lambda: pf.FlowConfig(method="adam", t_end=1.0), "flow.t_end = 1.0 does not apply to adam"),
        (lambda: pf.FlowConfig(method="adam", learning_rate=0.1), "flow.steps is missing"),
        (lambda: pf.FlowConfig(t_end=1.0, temperature=0.1), "would bias it"),
        (lambda: pf.FlowConfig(t_end=1.0, method="langevin", step=0.1), "flow.temperature is missing"),
        (lambda: pf.FlowConfig(t_end=1.0, method="langevin", step=0.1, temperature=-1), "flow.temperature = -1"),
        (lambda: pf.ModelConfig(s=3), 'model.s does not apply to model.kind = "two-layer"'),
        (lambda: pf.ModelConfig(kind="three-layer", offsets=[0, 1]), "model.offsets does not apply"),
        (lambda: pf.ModelConfig(kind="hard-synchronized", supports="circulant"), "model.offsets is missing"),
        (
            lambda: pf.ModelConfig(kind="hard-synchronized", supports="circulant", offsets=[0, 1], s=3),
            "model.s = 3, but model.offsets has 2 entries",
        ),
        (lambda: pf.ModelConfig(kind="particles", activation="relu"), "model.activation does not apply"),
        (lambda: pf.EnergyConfig(kernel="log-gas", strength=1.0), "energy.strength does not apply"),
        (lambda: pf.EnergyConfig(parameters={"x": 1.0}), "energy.parameters does not apply"),
        (lambda: pf.SynchronizationConfig(strength=1.0, term="D_S"), "energy.synchronization.term = 'D_S'"),
        (lambda: pf.InitialConfig(law="sphere", low=0.0), "initial.low does not apply"),
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
        ("data.teacher.neurons=3", lambda config: config.data.teacher.neurons == 3),
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


# --- models of three layers, synchronisation --------------------------------------------------------------------------

SOFT = """
seed = 3
[data]
source = "teacher"
n = 30
d = 3
teacher = { kind = "hard-synchronized", neurons = 4, s = 2 }
[model]
kind = "three-layer"
particles = 6
s = 3
activation = "erf"
[energy]
regularizer = "scaled-squared-norm"
strength = 0.1
synchronization = { term = "B", strength = 0.5 }
[flow]
t_end = 0.5
frames = 3
"""


def test_the_sizes_of_the_report_are_the_defaults():
    config = pf.read_config('data.source = "teacher"\nmodel.kind = "three-layer"\nflow.t_end = 1.0')
    assert (config.data.n, config.data.d, config.model.particles, config.model.s) == (4000, 100, 50, 16)
    assert (config.data.teacher.neurons, config.data.teacher.s, config.data.teacher.kind) == (10, 4, "three-layer")


@pytest.mark.parametrize("initial", ["sphere", "gaussian"])
@pytest.mark.parametrize(
    "model",
    [
        '{kind = "three-layer", particles = 6, s = 3, activation = "erf"}',
        '{kind = "hard-synchronized", particles = 6, s = 3, activation = "erf"}',
        '{kind = "hard-synchronized", particles = 6, s = 2, supports = "bernoulli", activation = "tanh"}',
        '{kind = "hard-synchronized", particles = 6, supports = "circulant", offsets = [0, 1, -1], activation = "erf"}',
    ],
)
def test_models_of_three_layers_run_and_are_read_back(model, initial, tmp_path):
    changes = [f"model={model}", f"initial.law={initial}", "energy.synchronization={strength = 0.0}"]
    if "hard" in model:
        changes.pop()
    config = pf.read_config(SOFT.replace('synchronization = { term = "B", strength = 0.5 }', ""), changes=changes)
    energy, start = config.build()
    result = config.run(tmp_path / "run.h5")
    assert result.observables["energy"][-1] < result.observables["energy"][0]
    np.testing.assert_array_equal(energy.model.admissible(start.particles), start.particles)
    with pf.open(tmp_path / "run.h5") as trajectory:
        X = np.random.default_rng(0).normal(size=(5, 3))
        f, there = (model.predict(result.measure.particles, X) for model in (energy.model, trajectory.model))
        np.testing.assert_array_equal(f, there)
        assert trajectory.layout == energy.layout
        assert pf.read_config(trajectory.config_text) == pf.read_config(config.to_toml())
        pf.save_figures(trajectory, tmp_path)


def test_soft_synchronisation_from_a_configuration(tmp_path):
    result = pf.read_config(SOFT).run(tmp_path / "run.h5")
    assert 0 < result.observables["synchronization"][-1] < result.observables["synchronization"][0]
    assert result.observables["energy"][-1] == pytest.approx(
        sum(result.observables[name][-1] for name in ("risk", "regularization", "synchronization"))
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model.s=4", "energy.synchronization.term = 'B' needs s = 3"),
        ("energy.synchronization.term=D", "energy.synchronization.term = 'D' needs s = 2"),
        ("energy.synchronization.offsets=[0, 1]", "energy.synchronization.offsets = [0, 1]: the term B"),
        ("energy.synchronization.strength=-1", "energy.synchronization.strength = -1"),
        (
            "energy.synchronization.weight=1",
            "energy.synchronization.weight is unknown; valid: strength, term, rows",
        ),
        ("model={kind = 'two-layer'}", "energy.synchronization needs the three-layer model"),
        ("initial.law=half-sphere", "initial.law = 'half-sphere' does not go with model.kind = \"three-layer\""),
        ("data.teacher.supports=circulant", 'data.teacher.supports = "circulant"'),
        ("data.teacher={kind = 'two-layer', s = 3}", "data.teacher.s does not apply"),
        ("energy.kernel=population", "energy.synchronization does not apply"),
    ],
)
def test_what_does_not_go_with_three_layers(change, words):
    with pytest.raises(pf.InvalidInput) as caught:
        pf.read_config(SOFT, changes=[change])
    assert words in str(caught.value)


# --- pair kernels by name ---------------------------------------------------------------------------------------------

GAS = """
[model]
kind = "particles"
particles = 8
[energy]
kernel = "log-gas"
parameters = { repulsion = 1.0, confinement = 0.5 }
[flow]
t_end = 60.0
rtol = 1e-8
"""


def test_a_pair_kernel_from_a_configuration(tmp_path):
    result = pf.read_config(GAS).run(tmp_path / "run.h5")
    equilibrium = np.sqrt(1.0 / (0.5 * 8)) * np.polynomial.hermite.hermgauss(8)[0]
    np.testing.assert_allclose(np.sort(result.measure["x"][:, 0]), equilibrium, atol=1e-6)
    with pf.open(tmp_path / "run.h5") as trajectory:
        assert trajectory.model is None
        assert trajectory.data is None


def test_particles_on_a_torus_keep_their_period_in_the_file(tmp_path):
    changes = ["energy={kernel = 'kuramoto', parameters = {coupling = 1.0}}", "initial={law = 'uniform', low = 1.0}"]
    config = pf.read_config(GAS, changes=[*changes, "flow.t_end=1"])
    _, start = config.build()
    assert 1.0 <= start["x"].min() <= start["x"].max() <= 1.0 + 2 * np.pi
    config.run(tmp_path / "run.h5")
    with pf.open(tmp_path / "run.h5") as trajectory:
        assert trajectory.layout == start.layout
        assert trajectory.layout.period == pytest.approx(2 * np.pi)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["model.kind=two-layer"], 'pair kernels move model.kind = "particles"'),
        (["energy={}"], 'energy.kernel = "empirical" does not go with model.kind = "particles"'),
        (["data.source=teacher"], 'data does not apply to energy.kernel = "log-gas"'),
        (["initial.law=sphere"], "initial.law = 'sphere' does not go with"),
        (["energy.parameters.charge=1"], "energy.parameters.charge is unknown"),
        (["energy.parameters={repulsion = 1}"], "energy.parameters.confinement is missing"),
        (["energy.parameters.repulsion=soft"], "energy.parameters = {'repulsion': 'soft', 'confinement': 0.5}"),
        (["energy.kernel=newtonian"], "energy.parameters.repulsion is unknown"),
        (["energy={kernel = 'newtonian', parameters = {charge = 1, confinement = 1}}"], "d = 1"),
        (["initial={law = 'uniform', low = 1, high = 0}"], "low = 1"),
    ],
)
def test_what_does_not_go_with_pair_kernels(changes, words):
    with pytest.raises(pf.InvalidInput) as caught:
        pf.read_config(GAS, changes=changes).build()
    assert words in str(caught.value)


# --- training loops and noise -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flow",
    [
        '{method = "adam", learning_rate = 0.01, steps = 20, batch_size = 5, frames = 3}',
        '{method = "sgd", learning_rate = 0.01, steps = 20, frames = 3}',
        '{method = "langevin", t_end = 0.2, step = 0.01, temperature = 0.01, frames = 3}',
        '{method = "langevin", t_end = 0.2, step = 0.01, temperature = {initial = 1.0, law = "power"}, frames = 3}',
        '{method = "heun", t_end = 0.2, step = 0.01, monotone = true, frames = 3}',
    ],
)
def test_methods_from_a_configuration(flow, tmp_path):
    runs = []
    for seed in (0, 0, 1):
        file = tmp_path / f"{len(runs)}.h5"
        config = pf.read_config(SOFT, changes=[f"flow={flow}", f"seed={seed}"])
        runs.append(config.run(file).measure.particles)
        with pf.open(file) as trajectory:
            assert pf.read_config(trajectory.config_text).flow == config.flow
            assert config.flow.method in to_text(summarize(trajectory))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()
