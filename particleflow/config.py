"""Configurations: TOML ↔ frozen dataclasses, checked completely before anything runs.

Paths are relative to the configuration file. The tables and their keys: `particleflow.config_tables`.
"""

from dataclasses import MISSING, dataclass, field, fields, is_dataclass, replace
from pathlib import Path

import numpy as np

from particleflow import methods
from particleflow.built_in_kernels import build_kernel
from particleflow.checks import STOP_RULES, integer
from particleflow.config_tables import (
    NESTED,
    PARTICLES,
    DataConfig,
    EnergyConfig,
    FlowConfig,
    InitialConfig,
    ModelConfig,
    OutputConfig,
    Table,
    TeacherConfig,
    key_name,
)
from particleflow.config_text import read_tables, read_text
from particleflow.datasets import load_dataset
from particleflow.energy import ConicEnergy, EmpiricalEnergy, KernelEnergy, PopulationEnergy
from particleflow.errors import InvalidInput
from particleflow.flow import check, single_threaded_blas, solve
from particleflow.measure import LAWS, POINT_LAWS, EmpiricalMeasure, measure_from_file
from particleflow.models import build_model
from particleflow.models.hard_synchronized import bernoulli_supports, circulant_supports, exact_supports
from particleflow.penalties import Synchronization
from particleflow.teachers import DIMENSION, NEURONS, SAMPLES, random_teacher, teacher_dataset
from particleflow.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Config(Table):
    """One run.

    Attributes
    ----------
    data, model, energy, initial, flow, output : dataclass
        The tables of the configuration; no data under a pair kernel.
    seed : int
        Seed of everything random: the test split or the teacher, supports, the initial particles, and the flow's noise
        or mini-batches.
    folder : Path
        What relative paths are relative to; not part of the TOML text.
    """

    data: DataConfig | None = None
    model: ModelConfig = field(default_factory=ModelConfig)
    flow: FlowConfig
    energy: EnergyConfig = field(default_factory=EnergyConfig)
    initial: InitialConfig = field(default_factory=InitialConfig)
    output: OutputConfig = field(default_factory=OutputConfig)
    seed: int = field(default=0, metadata={"check": integer(0, None)})
    folder: Path = field(default=Path(), compare=False)

    def __post_init__(self):
        super().__post_init__()
        kernel, kind = f'energy.kernel = "{self.energy.kernel}"', f'model.kind = "{self.model.kind}"'
        if self.energy.of_pairs != (self.model.kind == PARTICLES):
            raise InvalidInput(f'{kernel} does not go with {kind}: pair kernels move model.kind = "particles"')
        if self.energy.of_pairs:
            self._bar(("data",), kernel)
        elif self.data is None:
            raise InvalidInput("the table [data] is missing")
        if self.initial.law is None:
            law = "gaussian" if self.energy.of_pairs else "sphere"
            object.__setattr__(self, "initial", replace(self.initial, law=law))
        valid = self._laws
        if self.initial.law not in valid:
            raise InvalidInput(f"initial.law = {self.initial.law!r} does not go with {kind}; valid: {', '.join(valid)}")
        if not self.energy.of_pairs and self.data.source == "teacher":
            self._complete_teacher()
        if self.energy.kernel == "population":
            self._check_population()
        if self.energy.synchronization is not None:
            self._penalty.check(self.model.kind, self.model.s)
        self._check_metric()

    @property
    def _laws(self):
        """The names of the initial laws of these particles."""
        if self.model.kind == PARTICLES:
            return (*POINT_LAWS, "file")
        return (*LAWS, "file") if self.model.kind == "two-layer" else ("sphere", "gaussian", "file")

    def _complete_teacher(self):
        """Fill in what the teacher takes from the model and from the report (Lazarus 2022, §2.5.2)."""
        teacher = self.data.teacher or TeacherConfig(neurons=NEURONS)
        teacher = replace(
            teacher,
            kind=teacher.kind or self.model.kind,
            activation=teacher.activation or self.model.activation,
        )
        of_kind = f'data.teacher.kind = "{teacher.kind}"'
        if teacher.kind == "two-layer":
            teacher._bar(("s",), of_kind)
        else:
            teacher._fill(s=4)
        if teacher.kind == "hard-synchronized":
            teacher._fill(supports="bernoulli")
        else:
            teacher._bar(("supports",), of_kind)
        if teacher.supports == "circulant":
            raise InvalidInput('data.teacher.supports = "circulant": valid are exact, bernoulli')
        n = self.data.n or (SAMPLES if self.energy.kernel == "empirical" else None)
        object.__setattr__(self, "data", replace(self.data, teacher=teacher, n=n, d=self.data.d or DIMENSION))

    def _check_population(self):
        if self.data.source != "teacher":
            raise InvalidInput('energy.kernel = "population" needs a teacher: data.source = "teacher"')
        for name, value, valid in (
            ("data.n", self.data.n, None),
            ("data.bias", self.data.bias, False),
            ("model.kind", self.model.kind, "two-layer"),
            ("energy.loss", self.energy.loss, "squared"),
            ("data.teacher.kind", self.data.teacher.kind, "two-layer"),
            ("data.teacher.activation", self.data.teacher.activation, self.model.activation),
        ):
            if value != valid:
                raise InvalidInput(f'{name} = {value!r} does not go with energy.kernel = "population"')

    def _check_metric(self):
        """Check what goes with energy.metric only, and give weighted points their weights."""
        if self.energy.metric is not None:
            methods.check_metric(self.flow.method)
            if self.model.kind not in ("two-layer", PARTICLES):
                raise InvalidInput(f'energy.metric does not apply to model.kind = "{self.model.kind}"')
        if not self.energy.weighted:
            self.initial._bar(
                ("weights",), "particles without weights: they are those of a pair kernel with energy.metric"
            )
            if self.flow.method == "mirror":
                raise InvalidInput('flow.method = "mirror" needs weighted points: a pair kernel with energy.metric')
        elif self.initial.law == "file":
            self.initial._bar(("weights",), 'initial.law = "file"')
        else:
            weights = self.initial.weights or (1.0, -1.0)
            object.__setattr__(self, "initial", replace(self.initial, weights=weights))

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
        energy = self.build_energy()
        return energy, self._measure(energy)

    def check(self, dataset=None):
        """Return the same, and raise all errors that `run` would raise before its first step; `dataset` as below."""
        energy = self.build_energy(dataset)
        measure = self._measure(energy)
        check(energy, measure, **self._arguments)
        return energy, measure

    def run(self, file=None, *, overwrite=False, resume=False, progress=False):
        """Run the flow; the trajectory goes to `file`, by default to output.file if that is set.

        Where there is a trajectory of that name, `resume` goes on with it.

        Returns
        -------
        FlowResult
        """
        if file is None and self.output.file is not None:
            file = self.folder / self.output.file
        if file is not None:
            from particleflow.storage import check_output

            if not (resume and Path(file).exists()):
                check_output(file, overwrite)  # before the data are read: the cheap check comes first
        return self._solve(*self.build(), file=file, overwrite=overwrite, resume=resume, progress=progress)

    def _solve(self, energy, measure, **output):
        return solve(
            energy, measure, config=replace(self, output=OutputConfig()).to_toml(), **self._arguments, **output
        )

    @property
    def _arguments(self):
        """What `particleflow.flow.solve` is told of the flow."""
        flow = self.flow
        return {
            "t_end": flow.t_end,
            "method": flow.method,
            "frames": flow.frames,
            "observers": [STOP_RULES[name](value) for name, value in flow.stop.items()],
            "seed": int(self._seeds["flow"].generate_state(1)[0]),
            **flow.settings,
        }

    @property
    def _seeds(self):
        """The seed of each thing that is random."""
        names = ("data", "particles", "flow", "supports")
        return dict(zip(names, np.random.SeedSequence(self.seed).spawn(len(names)), strict=True))

    @property
    def _penalty(self):
        table = self.energy.synchronization
        return Synchronization(table.term, strength=table.strength, rows=table.rows, offsets=table.offsets)

    def _measure(self, energy):
        initial, m = self.initial, self.model.particles
        if initial.law == "file":
            measure = measure_from_file(self.folder / initial.file, energy.layout)
            if measure.m != m:
                raise InvalidInput(f"model.particles = {m}, but initial.file holds {measure.m}")
            return measure
        rng = np.random.default_rng(self._seeds["particles"])
        if self.model.kind == PARTICLES:
            return self._points(energy, rng)
        if self.model.kind == "two-layer":
            return LAWS[initial.law](m, energy.d, radius=initial.radius, rng=rng)
        measure = LAWS[initial.law](m, energy.layout, radius=initial.radius, rng=rng)
        return measure.push_forward(energy.model.admissible)

    def _points(self, energy, rng):
        """Draw points, which under energy.metric have the weights of a list in turn."""
        initial, m = self.initial, self.model.particles
        layout = energy.points.layout if self.energy.weighted else energy.layout
        if initial.law == "uniform":
            low = 0.0 if initial.low is None else initial.low
            points = POINT_LAWS["uniform"](m, layout, low=low, high=initial.high, rng=rng)
        else:
            points = POINT_LAWS[initial.law](m, layout, radius=initial.radius, rng=rng)
        if not self.energy.weighted:
            return points
        return EmpiricalMeasure.from_blocks(energy.layout, r=np.resize(initial.weights, m), x=points.particles)

    def load_data(self):
        """Return the `Dataset` of an energy on data, or None; errors as for `build`."""
        if self.data is None or self.energy.kernel == "population":
            return None
        return self._dataset(np.random.default_rng(self._seeds["data"]))

    def build_energy(self, dataset=None):
        """Return the energy alone, on a given `Dataset` in place of that of [data]; errors as for `build`."""
        data, table, model = self.data, self.energy, self.model
        metric = None if table.metric is None else table.metric.build()
        if table.of_pairs:
            kernel = build_kernel(table.kernel, table.parameters, model.d)
            if table.weighted:
                return ConicEnergy(kernel, model.d, strength=table.strength, metric=metric)
            return KernelEnergy(kernel, model.d)
        regularization = {"regularizer": table.regularizer, "strength": table.strength}
        network = _network(model, model.particles, np.random.default_rng(self._seeds["supports"]))
        if table.kernel == "population":
            rng = np.random.default_rng(self._seeds["data"])
            teacher = random_teacher(network, d=data.d, neurons=data.teacher.neurons, rng=rng)
            return PopulationEnergy(network, teacher, **regularization)
        dataset = self.load_data() if dataset is None else dataset
        penalty = None if table.synchronization is None else self._penalty
        return EmpiricalEnergy(
            network, dataset, loss=table.loss, synchronization=penalty, metric=metric, **regularization
        )

    def _dataset(self, rng):
        data = self.data
        if data.source == "teacher":
            labels, neurons = _network(data.teacher, data.teacher.neurons, rng), data.teacher.neurons
            with single_threaded_blas():  # labels are matrix products
                return teacher_dataset(labels, n=data.n, d=data.d, neurons=neurons, bias=data.bias, rng=rng)[0]
        return load_dataset(
            self.folder / data.file,
            target=data.target,
            features=data.features,
            bias=data.bias,
            standardize=data.standardize,
            test_fraction=data.test_fraction,
            rng=rng,
        )


def _network(table, m, rng):
    """Return the model of m particles that a [model] or [data.teacher] table describes."""
    if table.kind != "hard-synchronized":
        return build_model(table.kind, table.activation, s=table.s)
    if table.supports == "circulant":
        supports = circulant_supports(m, table.offsets)
    else:
        supports = {"exact": exact_supports, "bernoulli": bernoulli_supports}[table.supports](m, table.s, rng)
    return build_model(table.kind, table.activation, supports=supports)


def resume(path, *, t_end=None, steps=None, progress=False):
    """Go on with a stored run, bit for bit as if it had never stopped.

    Parameters
    ----------
    path : str or Path
        A trajectory written by ``particleflow run`` or `Config.run`; the new frames are appended to it.
    t_end : float, optional
        Go further than was planned: a later flow time to reach.
    steps : int, optional
        The same for the methods that count steps, "sgd" and "adam": the number of all steps.
    progress : bool
        Show a progress bar when standard error is a terminal.

    Returns
    -------
    FlowResult
        Of the whole flow; its observables begin at time 0, its seconds when it was resumed.

    Raises
    ------
    InvalidInput
        If there is nothing left to do, the run was not started from a configuration (go on with
        ``particleflow.solve(..., file=path, resume=True)``), or the new end cannot be used.
    TrajectoryError
        If the file cannot be read or written.
    """
    with Trajectory(path) as trajectory:
        name, data, start = repr(str(path)), trajectory.data, trajectory.particles(0)
        try:
            config = read_config(trajectory.config_text)
        except InvalidInput as error:
            raise InvalidInput(
                f"{name} was not started from a configuration; go on with it in Python, by "
                f"solve(..., file={name}, resume=True) ({error})"
            ) from None
        if t_end is None and steps is None and trajectory.status == "finished":
            raise InvalidInput(
                f"{name} is finished, at t = {trajectory.time[-1]:g}; it can go on to a later end (t_end)"
            )
    if data is None and config.data is not None and config.data.source != "teacher":
        raise InvalidInput(
            f"{name} does not hold its data, which were too large; go on with it in Python, by "
            f"solve(..., file={name}, resume=True)"
        )
    ends = {key: value for key, value in (("t_end", t_end), ("steps", steps)) if value is not None}
    config = replace(config, flow=replace(config.flow, **ends))
    return config._solve(config.build_energy(data), start, file=path, resume=True, progress=progress)


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
    return read_config(read_text(path), folder=path.parent, changes=changes, name=path.name)


def read_config(text, *, folder=Path(), changes=(), name="the configuration"):
    """Return the `Config` of a TOML text; parameters and errors as for `load_config`."""
    return config_from_tables(read_tables(text, changes, name), folder=folder)


def config_from_tables(tables, *, folder=Path()):
    """Return the `Config` of nested dicts; parameters and errors as for `load_config`."""
    return _from_dict(Config, tables, folder=Path(folder))


def _from_dict(table, values, **extra):
    nested = NESTED.get(None if table is Config else table, {})
    known = [entry.name for entry in fields(table) if entry.name != "folder"]
    for key, value in values.items():
        if key not in known:
            raise InvalidInput(f"{key_name(table, key)} is unknown; valid: {', '.join(known)}")
        if key in nested and not isinstance(value, dict):
            raise InvalidInput(f"{key_name(table, key)} = {value!r} must be a table: [{key_name(table, key)}]")
    for entry in fields(table):
        required = entry.default is MISSING and entry.default_factory is MISSING
        if required and entry.name not in values:
            what = f"the table [{entry.name}]" if entry.name in nested else key_name(table, entry.name)
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
