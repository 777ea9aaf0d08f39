"""The tables of a configuration: every key is one field, with its default and what it may hold."""

from dataclasses import MISSING, dataclass, field, fields

from particleflow import methods
from particleflow.activations import ACTIVATIONS
from particleflow.built_in_kernels import PAIR_KERNELS
from particleflow.checks import (
    birth,
    boolean,
    choice,
    cooling,
    fraction,
    frames,
    integer,
    integers,
    nonnegative,
    numbers,
    positive,
    real,
    reals,
    stop,
    text,
    texts,
)
from particleflow.errors import InvalidInput
from particleflow.losses import LOSSES
from particleflow.measure import LAWS, POINT_LAWS
from particleflow.metrics import ConicMetric
from particleflow.models import MODELS
from particleflow.penalties import ROWS, TERMS
from particleflow.regularizers import REGULARIZERS

PARTICLES = "particles"
"""The kind of model that is no network: particles under a pair kernel."""
SUPPORTS = ("exact", "bernoulli", "circulant")


def _key(check, default=MISSING):
    return field(default=default, metadata={"check": check})


@dataclass(frozen=True)
class Table:
    """Base of all tables: every given value is checked on creation, and a list becomes a tuple."""

    def __post_init__(self):
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, entry.name, value)
            check = entry.metadata.get("check")
            if check is not None and not (value is None and entry.default is None) and not check(value):
                raise InvalidInput(f"{key_name(type(self), entry.name)} = {value!r}: valid are {check.valid}")

    def _fill(self, **defaults):
        """Set what is not given."""
        for name, value in defaults.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)

    def _bar(self, names, what):
        """Raise `InvalidInput` if one of these keys is given."""
        for name in names:
            if getattr(self, name) is not None:
                raise InvalidInput(f"{key_name(type(self), name)} does not apply to {what}")


@dataclass(frozen=True)
class TeacherConfig(Table):
    """[data.teacher]: the random network that labels Gaussian inputs."""

    neurons: int = _key(integer(1), 10)
    kind: str | None = _key(choice(MODELS), None)  # the model's
    activation: str | None = _key(choice(ACTIVATIONS), None)  # the model's
    s: int | None = _key(integer(1), None)
    supports: str | None = _key(choice(SUPPORTS), None)


@dataclass(frozen=True)
class DataConfig(Table):
    """[data]: a file, or source = "teacher"."""

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
        if self.source == "file" and self.file is None:
            raise InvalidInput('data.file is missing: source = "file" needs it')
        barred = {"file": ("n", "d", "teacher"), "teacher": ("file", "target", "features")}[self.source]
        self._bar(barred, f'source = "{self.source}"')
        if self.source == "teacher" and (self.standardize or self.test_fraction):
            raise InvalidInput('data.standardize and data.test_fraction do not apply to source = "teacher"')


@dataclass(frozen=True)
class ModelConfig(Table):
    """[model]: the network, or the particles of a pair kernel."""

    particles: int = _key(integer(1), 50)
    kind: str = _key(choice((*MODELS, PARTICLES)), "two-layer")
    activation: str | None = _key(choice(ACTIVATIONS), None)
    s: int | None = _key(integer(1), None)
    supports: str | None = _key(choice(SUPPORTS), None)
    offsets: tuple | None = _key(integers, None)
    d: int | None = _key(integer(1), None)

    def __post_init__(self):
        super().__post_init__()
        kind = f'model.kind = "{self.kind}"'
        if self.kind == PARTICLES:
            self._bar(("activation", "s", "supports", "offsets"), kind)
            self._fill(d=1)
            return
        self._bar(("d",), kind)
        self._fill(activation="relu")
        if self.kind != "hard-synchronized":
            self._bar(("supports", "offsets"), kind)
        else:
            self._fill(supports="exact")
            self._fill_circulant()
        if self.kind == "two-layer":
            self._bar(("s",), kind)
        else:
            self._fill(s=16)

    def _fill_circulant(self):
        if self.supports != "circulant":
            self._bar(("offsets",), f'model.supports = "{self.supports}"')
        elif self.offsets is None:
            raise InvalidInput('model.offsets is missing: model.supports = "circulant" needs it')
        else:
            self._fill(s=len(self.offsets))
            if self.s != len(self.offsets):
                raise InvalidInput(f"model.s = {self.s}, but model.offsets has {len(self.offsets)} entries")


@dataclass(frozen=True)
class SynchronizationConfig(Table):
    """[energy.synchronization]: the penalty γ·D of a soft synchronised network."""

    strength: float = _key(nonnegative)
    term: str = _key(choice(TERMS), "sum-w2")
    rows: str = _key(choice(ROWS), "W")
    offsets: tuple | None = _key(integers, None)


@dataclass(frozen=True)
class MetricConfig(Table):
    """[energy.metric]: the rates of masses and positions; with it the points of a pair kernel have weights."""

    masses: float = _key(nonnegative)
    positions: float = _key(nonnegative)

    def __post_init__(self):
        super().__post_init__()
        self.build()

    def build(self):
        """Return the `ConicMetric`."""
        return ConicMetric(masses=self.masses, positions=self.positions)


@dataclass(frozen=True)
class EnergyConfig(Table):
    """[energy]: the regularised risk, or a pair kernel."""

    loss: str | None = _key(choice(LOSSES), None)
    regularizer: str | None = _key(choice(REGULARIZERS), None)
    strength: float | None = _key(nonnegative, None)
    kernel: str = _key(choice(("empirical", "population", *PAIR_KERNELS)), "empirical")
    parameters: dict = field(default_factory=dict, metadata={"check": numbers})
    synchronization: SynchronizationConfig | None = None
    metric: MetricConfig | None = None

    def __post_init__(self):
        super().__post_init__()
        kernel = f'energy.kernel = "{self.kernel}"'
        if self.of_pairs:
            self._bar(("loss", "regularizer", "synchronization"), kernel)
            if self.weighted:
                self._fill(strength=0.0)
            else:
                self._bar(("strength",), f"{kernel} without energy.metric")
            return
        if self.parameters:
            raise InvalidInput(f"energy.parameters does not apply to {kernel}")
        if self.kernel == "population":
            self._bar(("synchronization", "metric"), kernel)
        self._fill(loss="squared", regularizer="path-norm", strength=0.0)

    @property
    def of_pairs(self):
        """Whether it is the energy of a pair kernel."""
        return self.kernel in PAIR_KERNELS

    @property
    def weighted(self):
        """Whether it is the energy of weighted points."""
        return self.of_pairs and self.metric is not None


@dataclass(frozen=True)
class InitialConfig(Table):
    """[initial]: the law the particles start from."""

    law: str | None = _key(choice((*dict.fromkeys((*LAWS, *POINT_LAWS)), "file")), None)
    radius: float | None = _key(positive, None)
    low: float | None = _key(real, None)
    high: float | None = _key(real, None)
    file: str | None = _key(text, None)
    weights: tuple | None = _key(reals, None)

    def __post_init__(self):
        super().__post_init__()
        if (self.law == "file") != (self.file is not None):
            raise InvalidInput('initial.file goes with initial.law = "file", and only with it')
        if self.law != "uniform":
            self._bar(("low", "high"), f'initial.law = "{self.law}"')
        if self.law in ("uniform", "file"):
            self._bar(("radius",), f'initial.law = "{self.law}"')
        else:
            self._fill(radius=1.0)


@dataclass(frozen=True)
class FlowConfig(Table):
    """[flow]: how far and how accurately."""

    t_end: float | None = _key(positive, None)
    method: str = _key(choice(methods.METHODS), "dopri5")
    rtol: float | None = _key(positive, None)
    atol: float | None = _key(nonnegative, None)
    step: float | None = _key(positive, None)
    monotone: bool | None = _key(boolean, None)
    temperature: float | dict | None = field(default=None, metadata={"check": cooling})
    learning_rate: float | None = _key(positive, None)
    steps: int | None = _key(integer(1), None)
    batch_size: int | None = _key(integer(1), None)
    birth: dict | None = field(default=None, metadata={"check": birth})
    frames: int | tuple = _key(frames, 100)
    stop: dict = field(default_factory=dict, metadata={"check": stop})

    def __post_init__(self):
        super().__post_init__()
        methods.check(self.method, self.settings, self.t_end)

    @property
    def settings(self):
        """The settings of the method that are given."""
        others = ("method", "t_end", "frames", "stop")
        values = {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name not in others}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class OutputConfig(Table):
    """[output]: where the trajectory goes."""

    file: str | None = _key(text, None)


NESTED = {
    None: {
        "data": DataConfig,
        "model": ModelConfig,
        "flow": FlowConfig,
        "energy": EnergyConfig,
        "initial": InitialConfig,
        "output": OutputConfig,
    },
    DataConfig: {"teacher": TeacherConfig},
    EnergyConfig: {"synchronization": SynchronizationConfig, "metric": MetricConfig},
}
"""The tables in each table; those of the whole configuration under None."""

_PATHS = {
    TeacherConfig: "data.teacher.",
    SynchronizationConfig: "energy.synchronization.",
    MetricConfig: "energy.metric.",
    **{table: f"{name}." for name, table in NESTED[None].items()},
}


def key_name(table, key):
    """Return the full name of a key."""
    return f"{_PATHS.get(table, '')}{key}"
