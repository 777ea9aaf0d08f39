"""Configurations: TOML ↔ frozen dataclasses, checked completely before anything runs.

Every key is one field below: its default, and what it may hold. Paths are relative to the configuration file.
"""

import sys
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path

import numpy as np

from particleflow.activations import ACTIVATIONS
from particleflow.datasets import load_dataset
from particleflow.energy import EmpiricalEnergy
from particleflow.errors import InvalidInput
from particleflow.flow import single_threaded_blas, solve
from particleflow.integrators.tableaus import TABLEAUS
from particleflow.losses import LOSSES
from particleflow.measure import LAWS, measure_from_file
from particleflow.models import MODELS, build_model
from particleflow.observers import STOP_RULES
from particleflow.regularizers import REGULARIZERS
from particleflow.teachers import teacher_dataset
from particleflow.toml import TOMLDecodeError, loads

# --- what a value may be: a check tells whether, and its attribute `valid` says what would be ------------------------


def _check(valid):
    def decorate(test):
        test.valid = valid
        return test

    return decorate


def _number(valid, test):
    @_check(valid)
    def check(value):
        real = isinstance(value, (int, float)) and not isinstance(value, bool)
        return real and abs(value) <= sys.float_info.max and test(value)

    return check


def _integer(least):
    @_check(f"integers from {least}")
    def check(value):
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    return check


def _choice(names):
    @_check(", ".join(f'"{name}"' for name in names))
    def check(value):
        return isinstance(value, str) and value in names

    return check


@_check("text")
def _text(value):
    return isinstance(value, str) and value != "" and "\0" not in value


@_check("a list of texts")
def _texts(value):
    return isinstance(value, (list, tuple)) and len(value) > 0 and all(_text(item) for item in value)


@_check("true or false")
def _boolean(value):
    return isinstance(value, bool)


@_check("an integer from 1, or a list of increasing times above 0")
def _frames(value):
    if isinstance(value, (list, tuple)):
        return len(value) > 0 and all(_positive(item) for item in value) and list(value) == sorted(set(value))
    return _integer(1)(value)


@_check(f"a table with a number above 0 for some of {', '.join(STOP_RULES)}")
def _stop(value):
    if not isinstance(value, dict):
        return False
    for name in value:
        if name not in STOP_RULES:
            raise InvalidInput(f"flow.stop.{name} is unknown; valid: {', '.join(STOP_RULES)}")
    return all(_real(number) if name == "energy" else _positive(number) for name, number in value.items())


_real = _number("finite numbers", lambda value: True)
_positive = _number("finite numbers above 0", lambda value: value > 0)
_nonnegative = _number("finite numbers from 0", lambda value: value >= 0)
_fraction = _number("numbers from 0 to below 1", lambda value: 0 <= value < 1)


def _key(check, default=MISSING):
    return field(default=default, metadata={"check": check})


# --- the tables -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Base of all tables: every given value is checked on creation, and a list becomes a tuple."""

    def __post_init__(self):
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, entry.name, value)
            check = entry.metadata.get("check")
            if check is not None and not (value is None and entry.default is None) and not check(value):
                raise InvalidInput(f"{_name(type(self), entry.name)} = {value!r}: valid are {check.valid}")


@dataclass(frozen=True)
class TeacherConfig(_Table):
    """[data.teacher]: the random network that labels Gaussian inputs."""

    neurons: int = _key(_integer(1), 10)
    activation: str = _key(_choice(ACTIVATIONS), "relu")


@dataclass(frozen=True)
class DataConfig(_Table):
    """[data]: a file, or source = "teacher" with n and d."""

    source: str = _key(_choice(("file", "teacher")), "file")
    file: str | None = _key(_text, None)
    target: str | None = _key(_text, None)
    features: tuple | None = _key(_texts, None)
    n: int | None = _key(_integer(1), None)
    d: int | None = _key(_integer(1), None)
    teacher: TeacherConfig | None = None
    bias: bool = _key(_boolean, False)
    standardize: bool = _key(_boolean, False)
    test_fraction: float = _key(_fraction, 0.0)

    def __post_init__(self):
        super().__post_init__()
        needed = {"file": ("file",), "teacher": ("n", "d")}[self.source]
        barred = {"file": ("n", "d", "teacher"), "teacher": ("file", "target", "features")}[self.source]
        for name in needed:
            if getattr(self, name) is None:
                raise InvalidInput(f'data.{name} is missing: source = "{self.source}" needs it')
        for name in barred:
            if getattr(self, name) is not None:
                raise InvalidInput(f'data.{name} does not apply to source = "{self.source}"')
        if self.source == "teacher" and (self.standardize or self.test_fraction):
            raise InvalidInput('data.standardize and data.test_fraction do not apply to source = "teacher"')


@dataclass(frozen=True)
class ModelConfig(_Table):
    """[model]: the network."""

    particles: int = _key(_integer(1))
    kind: str = _key(_choice(MODELS), "two-layer")
    activation: str = _key(_choice(ACTIVATIONS), "relu")


@dataclass(frozen=True)
class EnergyConfig(_Table):
    """[energy]: the regularised risk."""

    loss: str = _key(_choice(LOSSES), "squared")
    regularizer: str = _key(_choice(REGULARIZERS), "path-norm")
    strength: float = _key(_nonnegative, 0.0)
    kernel: str = _key(_choice(("empirical",)), "empirical")


@dataclass(frozen=True)
class InitialConfig(_Table):
    """[initial]: the law the particles start from."""

    law: str = _key(_choice((*LAWS, "file")), "sphere")
    radius: float = _key(_positive, 1.0)
    file: str | None = _key(_text, None)

    def __post_init__(self):
        super().__post_init__()
        if (self.law == "file") != (self.file is not None):
            raise InvalidInput('initial.file goes with initial.law = "file", and only with it')


@dataclass(frozen=True)
class FlowConfig(_Table):
    """[flow]: how far and how accurately."""

    t_end: float = _key(_positive)
    method: str = _key(_choice(TABLEAUS), "dopri5")
    rtol: float = _key(_positive, 1e-6)
    atol: float = _key(_nonnegative, 1e-12)
    step: float | None = _key(_positive, None)
    frames: int | tuple = _key(_frames, 100)
    stop: dict = field(default_factory=dict, metadata={"check": _stop})


@dataclass(frozen=True)
class OutputConfig(_Table):
    """[output]: where the trajectory goes."""

    file: str | None = _key(_text, None)


@dataclass(frozen=True)
class Config(_Table):
    """One run.

    Attributes
    ----------
    data, model, energy, initial, flow, output : dataclass
        The tables of the configuration.
    seed : int
        Seed of everything random: the test split or the teacher, and the initial particles.
    folder : Path
        What relative paths are relative to; not part of the TOML text.
    """

    data: DataConfig
    model: ModelConfig
    flow: FlowConfig
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    seed: int = _key(_integer(0), 0)
    folder: Path = field(default=Path(), compare=False)

    def to_dict(self):
        """Return the tables as nested dicts, without what is unset."""
        return _to_dict(self)

    def to_toml(self):
        """Return the configuration as TOML text; `read_config` of it gives the same configuration."""
        import tomli_w

        return tomli_w.dumps(self.to_dict())

    def build(self):
        """Return the energy and the initial measure.

        Raises
        ------
        InvalidInput
            If the data or the particles cannot be read, or do not fit the model.
        """
        for_data, for_particles = np.random.SeedSequence(self.seed).spawn(2)
        with single_threaded_blas():  # a teacher's labels are matrix products
            data = self._data(np.random.default_rng(for_data))
        energy = EmpiricalEnergy(
            build_model(self.model.kind, self.model.activation),
            data,
            loss=self.energy.loss,
            regularizer=self.energy.regularizer,
            strength=self.energy.strength,
        )
        if self.initial.law == "file":
            measure = measure_from_file(self.folder / self.initial.file, energy.layout)
            if measure.m != self.model.particles:
                raise InvalidInput(f"model.particles = {self.model.particles}, but initial.file holds {measure.m}")
            return energy, measure
        law = LAWS[self.initial.law]
        rng = np.random.default_rng(for_particles)
        return energy, law(self.model.particles, energy.data.d, radius=self.initial.radius, rng=rng)

    def run(self, file=None, *, overwrite=False, progress=False):
        """Run the flow; the trajectory goes to `file`, by default to output.file if that is set.

        Returns
        -------
        FlowResult
        """
        if file is None and self.output.file is not None:
            file = self.folder / self.output.file
        if file is not None:
            from particleflow.storage import check_output

            check_output(file, overwrite)  # before the data are read: the cheap check comes first
        energy, measure = self.build()
        flow, stored = self.flow, self.to_dict()
        stored.pop("output", None)
        import tomli_w

        return solve(
            energy,
            measure,
            flow.t_end,
            method=flow.method,
            rtol=flow.rtol,
            atol=flow.atol,
            step=flow.step,
            frames=flow.frames,
            observers=[STOP_RULES[name](value) for name, value in flow.stop.items()],
            file=file,
            overwrite=overwrite,
            progress=progress,
            config=tomli_w.dumps(stored),
        )

    def _data(self, rng):
        data = self.data
        if data.source == "teacher":
            teacher = data.teacher or TeacherConfig()
            model = build_model(self.model.kind, teacher.activation)
            return teacher_dataset(model, n=data.n, d=data.d, neurons=teacher.neurons, bias=data.bias, rng=rng)[0]
        return load_dataset(
            self.folder / data.file,
            target=data.target,
            features=data.features,
            bias=data.bias,
            standardize=data.standardize,
            test_fraction=data.test_fraction,
            rng=rng,
        )


_NESTED = {
    Config: {
        "data": DataConfig,
        "model": ModelConfig,
        "flow": FlowConfig,
        "energy": EnergyConfig,
        "initial": InitialConfig,
        "output": OutputConfig,
    },
    DataConfig: {"teacher": TeacherConfig},
}
_PATHS = {
    Config: "",
    TeacherConfig: "data.teacher.",
    **{table: f"{name}." for name, table in _NESTED[Config].items()},
}


# --- reading ----------------------------------------------------------------------------------------------------------


def load_config(path, changes=()):
    """Read a configuration file.

    Parameters
    ----------
    path : str or Path
        A TOML file.
    changes : sequence of str
        Assignments such as ``"energy.strength=1e-2"`` that replace values of the file.

    Returns
    -------
    Config

    Raises
    ------
    InvalidInput
        If the file is missing or is not TOML, a key is unknown or missing, or a value is not valid.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise InvalidInput(f"the configuration {str(path)!r} does not exist or is not a file")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the configuration {str(path)!r} cannot be read as text: {error}") from None
    return read_config(text, folder=path.parent, changes=changes, name=path.name)


def read_config(text, *, folder=Path(), changes=(), name="the configuration"):
    """Return the `Config` of a TOML text; parameters and errors as for `load_config`."""
    try:
        tables = loads(text)
    except TOMLDecodeError as error:
        raise InvalidInput(f"{name} is not valid TOML: {error}") from None
    for change in changes:
        _apply(tables, change)
    return _from_dict(Config, tables, folder=Path(folder))


def _apply(tables, change):
    key, sign, value = change.partition("=")
    *path, last = key.strip().split(".")
    if not sign or not last or not all(path):
        raise InvalidInput(f"--set {change}: valid are assignments like energy.strength=1e-2")
    try:
        value = loads(f"value = {value}")["value"]
    except TOMLDecodeError:
        value = value.strip()  # a bare word is a text
    table = tables
    for part in path:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InvalidInput(f"--set {change}: {part} is not a table")
    table[last] = value


def _from_dict(table, values, **extra):
    nested = _NESTED.get(table, {})
    known = [entry.name for entry in fields(table) if entry.name != "folder"]
    for key, value in values.items():
        if key not in known:
            raise InvalidInput(f"{_name(table, key)} is unknown; valid: {', '.join(known)}")
        if key in nested and not isinstance(value, dict):
            raise InvalidInput(f"{_name(table, key)} = {value!r} must be a table: [{_name(table, key)}]")
    for entry in fields(table):
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and entry.name not in values:
            what = f"the table [{entry.name}]" if entry.name in nested else _name(table, entry.name)
            raise InvalidInput(f"{what} is missing")
    given = {key: _from_dict(nested[key], value) if key in nested else value for key, value in values.items()}
    return table(**given, **extra)


def _to_dict(table):
    values = {}
    for entry in fields(table):
        value = getattr(table, entry.name)
        if value is None or value == {} or entry.name == "folder":
            continue
        value = _to_dict(value) if is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        if value != {}:
            values[entry.name] = value
    # TOML wants plain values before tables
    return dict(sorted(values.items(), key=lambda item: isinstance(item[1], dict)))


def _name(table, key):
    return f"{_PATHS[table]}{key}"
