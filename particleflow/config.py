"""Configurations: TOML ↔ frozen dataclasses, checked completely before anything runs.

Every key is one field below: its default, and what it may hold. Paths are relative to the configuration file.
"""

from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path

import numpy as np

from particleflow.activations import ACTIVATIONS
from particleflow.checks import (
    boolean,
    choice,
    cooling,
    fraction,
    frames,
    integer,
    nonnegative,
    positive,
    stop,
    text,
    texts,
)
from particleflow.datasets import load_dataset
from particleflow.energy import EmpiricalEnergy, PopulationEnergy
from particleflow.errors import InvalidInput
from particleflow.flow import single_threaded_blas, solve
from particleflow.losses import LOSSES
from particleflow.measure import LAWS, measure_from_file
from particleflow.methods import METHODS
from particleflow.models import MODELS, build_model
from particleflow.observers import STOP_RULES
from particleflow.regularizers import REGULARIZERS
from particleflow.teachers import random_teacher, teacher_dataset
from particleflow.toml import TOMLDecodeError, loads


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

    neurons: int = _key(integer(1), 10)
    activation: str | None = _key(choice(ACTIVATIONS), None)  # the model's


@dataclass(frozen=True)
class DataConfig(_Table):
    """[data]: a file, or source = "teacher" with d and, unless the kernel is that of the population, n."""

    source: str = _key(choice(("file", "teacher")), "file")
    file: str | None = _key(text, None)
    target: str | None = _key(text, None)
    features: tuple | None = _key(texts, None)
    n: int | None = _key(integer(1), None)
    d: int | None = _key(integer(1), None)
    teacher: TeacherConfig | None = None
    bias: bool = _key(boolean, False)
    standardize: bool = _key(boolean, False)
    test_fraction: float = _key(fraction, 0.0)

    def __post_init__(self):
        super().__post_init__()
        needed = {"file": ("file",), "teacher": ("d",)}[self.source]
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

    particles: int = _key(integer(1))
    kind: str = _key(choice(MODELS), "two-layer")
    activation: str = _key(choice(ACTIVATIONS), "relu")


@dataclass(frozen=True)
class EnergyConfig(_Table):
    """[energy]: the regularised risk."""

    loss: str = _key(choice(LOSSES), "squared")
    regularizer: str = _key(choice(REGULARIZERS), "path-norm")
    strength: float = _key(nonnegative, 0.0)
    kernel: str = _key(choice(("empirical", "population")), "empirical")


@dataclass(frozen=True)
class InitialConfig(_Table):
    """[initial]: the law the particles start from."""

    law: str = _key(choice((*LAWS, "file")), "sphere")
    radius: float = _key(positive, 1.0)
    file: str | None = _key(text, None)

    def __post_init__(self):
        super().__post_init__()
        if (self.law == "file") != (self.file is not None):
            raise InvalidInput('initial.file goes with initial.law = "file", and only with it')


@dataclass(frozen=True)
class FlowConfig(_Table):
    """[flow]: how far and how accurately."""

    method: str = _key(choice(METHODS), "dopri5")
    t_end: float | None = _key(positive, None)
    rtol: float | None = _key(positive, None)
    atol: float | None = _key(nonnegative, None)
    step: float | None = _key(positive, None)
    monotone: bool | None = _key(boolean, None)
    temperature: float | dict | None = field(default=None, metadata={"check": cooling})
    learning_rate: float | None = _key(positive, None)
    steps: int | None = _key(integer(1), None)
    batch_size: int | None = _key(integer(1), None)
    frames: int | tuple = _key(frames, 100)
    stop: dict = field(default_factory=dict, metadata={"check": stop})

    @property
    def settings(self):
        """The settings of the method that are given."""
        others = ("method", "t_end", "frames", "stop")
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in others}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class OutputConfig(_Table):
    """[output]: where the trajectory goes."""

    file: str | None = _key(text, None)


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
    seed: int = _key(integer(0), 0)
    folder: Path = field(default=Path(), compare=False)

    def __post_init__(self):
        super().__post_init__()
        teacher = self.data.source == "teacher"
        if self.energy.kernel == "empirical":
            if teacher and self.data.n is None:
                raise InvalidInput('data.n is missing: source = "teacher" needs it')
            return
        if not teacher:
            raise InvalidInput('energy.kernel = "population" needs a teacher: data.source = "teacher"')
        for name, value, valid in (
            ("data.n", self.data.n, None),
            ("data.bias", self.data.bias, False),
            ("energy.loss", self.energy.loss, "squared"),
            ("data.teacher.activation", self._teacher_activation, self.model.activation),
        ):
            if value != valid:
                raise InvalidInput(f'{name} = {value!r} does not go with energy.kernel = "population"')

    @property
    def _teacher_activation(self):
        return (self.data.teacher and self.data.teacher.activation) or self.model.activation

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
        for_data, for_particles, _ = self._seeds
        energy = self._energy(np.random.default_rng(for_data))
        if self.initial.law == "file":
            measure = measure_from_file(self.folder / self.initial.file, energy.layout)
            if measure.m != self.model.particles:
                raise InvalidInput(f"model.particles = {self.model.particles}, but initial.file holds {measure.m}")
            return energy, measure
        law = LAWS[self.initial.law]
        rng = np.random.default_rng(for_particles)
        return energy, law(self.model.particles, energy.d, radius=self.initial.radius, rng=rng)

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
            frames=flow.frames,
            observers=[STOP_RULES[name](value) for name, value in flow.stop.items()],
            file=file,
            overwrite=overwrite,
            progress=progress,
            config=tomli_w.dumps(stored),
            seed=int(self._seeds[2].generate_state(1)[0]),
            **flow.settings,
        )

    @property
    def _seeds(self):
        """Of the data, of the initial particles, and of the flow (noise, mini-batches)."""
        return np.random.SeedSequence(self.seed).spawn(3)

    def _energy(self, rng):
        data, table = self.data, self.energy
        model = build_model(self.model.kind, self.model.activation)
        regularization = {"regularizer": table.regularizer, "strength": table.strength}
        neurons = (data.teacher or TeacherConfig()).neurons
        if table.kernel == "population":
            teacher = random_teacher(model, d=data.d, neurons=neurons, rng=rng)
            return PopulationEnergy(model, teacher, **regularization)
        if data.source == "teacher":
            labels = build_model(self.model.kind, self._teacher_activation)
            with single_threaded_blas():  # labels are matrix products
                dataset, _ = teacher_dataset(labels, n=data.n, d=data.d, neurons=neurons, bias=data.bias, rng=rng)
        else:
            dataset = load_dataset(
                self.folder / data.file,
                target=data.target,
                features=data.features,
                bias=data.bias,
                standardize=data.standardize,
                test_fraction=data.test_fraction,
                rng=rng,
            )
        return EmpiricalEnergy(model, dataset, loss=table.loss, **regularization)


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
