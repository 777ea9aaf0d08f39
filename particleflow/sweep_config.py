"""What a sweep runs: a base configuration, and a table [sweep] with the values of some of its keys.

    [sweep]
    "model.particles" = [50, 100, 200]
    "energy.strength" = { log = [1e-4, 1e-1, 7] }   # geometric, with both ends; linear = [a, b, n] likewise
    seed = { range = 10 }                           # 0, …, 9; range = [start, stop], [start, stop, step] as in Python
    combine = "product"                             # every value with every other; "zipped": the k-th of each together

Everything is checked before anything runs: every run's configuration, and what each of them reads and builds.
"""

import hashlib
import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from particleflow.config import Config, config_from_tables
from particleflow.config_text import read_tables, read_text
from particleflow.errors import InvalidInput
from particleflow.values import is_integer, is_real

COMBINATIONS = ("product", "zipped")
MOST_RUNS = 10**5
SEED = "seed"
_NAME_LENGTH = 16  # hexadecimal digits of a fingerprint that name a file


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes
    ----------
    parameters : dict of str → object
        The values of the swept keys.
    config : Config
        Its configuration, complete.
    text : str
        The same as TOML.
    fingerprint : str
        SHA-256 of its configuration and of the files that it reads: everything random follows from the seed.
    size : int
        About how many bytes its arrays take.
    """

    parameters: dict
    config: Config = field(repr=False)
    text: str = field(repr=False)
    fingerprint: str
    size: int

    @property
    def file_name(self):
        """The name of its trajectory."""
        return f"{self.fingerprint[:_NAME_LENGTH]}.h5"


@dataclass(frozen=True)
class SweepConfig:
    """A sweep.

    Attributes
    ----------
    base : dict
        The tables of the base configuration.
    values : dict of str → list
        The values of each swept key, by its dotted name.
    combine : {"product", "zipped"}
        Every value with every other, the last key fastest, or the k-th values of all keys together.
    folder : Path
        What relative paths are relative to.
    """

    base: dict
    values: dict
    combine: str = "product"
    folder: Path = Path()

    def __post_init__(self):
        if self.combine not in COMBINATIONS:
            raise InvalidInput(f"sweep.combine = {self.combine!r}: valid are {', '.join(COMBINATIONS)}")
        if not self.values:
            raise InvalidInput('the table [sweep] names no key; valid is, for example, "model.particles" = [50, 100]')
        lengths = {key: len(values) for key, values in self.values.items()}
        for key in self.values:
            if key == "output" or key.startswith("output."):
                raise InvalidInput(f'sweep."{key}": where the trajectories of a sweep go cannot be swept')
            if other := next((other for other in self.values if other.startswith(f"{key}.")), None):
                raise InvalidInput(f'sweep."{key}" and sweep."{other}" set the same key')
        if self.combine == "zipped" and len(set(lengths.values())) > 1:
            listed = ", ".join(f'"{key}" has {length}' for key, length in lengths.items())
            raise InvalidInput(f"[sweep] is zipped, and its lists differ in length: {listed}")
        count = math.prod(lengths.values()) if self.combine == "product" else next(iter(lengths.values()))
        if count > MOST_RUNS:
            raise InvalidInput(f"[sweep] has {count} runs; valid are up to {MOST_RUNS}")

    def to_toml(self):
        """Return the sweep as TOML text; `read_sweep` of it gives the same sweep."""
        import tomli_w

        plain = {key: value for key, value in self.base.items() if not isinstance(value, dict)}
        return tomli_w.dumps({**plain, **self.base, "sweep": {**self.values, "combine": self.combine}})

    @cached_property
    def runs(self):
        """The runs in order, a tuple of `PlannedRun`.

        Raises
        ------
        InvalidInput
            If one of them cannot run: a key is unknown, a value is not valid, data cannot be read, and so on.
        """
        configs = [(parameters, self._config(parameters)) for parameters in self._combinations()]  # all, before data
        sizes, digests, runs = _Sizes(), _Digests(), []
        for parameters, config in configs:
            text = config.to_toml()
            size = sizes.of(config, text)
            runs.append(PlannedRun(parameters, config, text, digests.fingerprint(config, text), size))
        known = {}
        for run in runs:
            if (other := known.setdefault(run.file_name, run)) is not run:
                raise InvalidInput(
                    f"[sweep] has the same run twice: {told(other.parameters)} and {told(run.parameters)}"
                )
        return tuple(runs)

    def _combinations(self):
        keys, values = list(self.values), self.values.values()
        rows = itertools.product(*values) if self.combine == "product" else zip(*values, strict=True)
        return [dict(zip(keys, row, strict=True)) for row in rows]

    def _config(self, parameters):
        tables = {key: value for key, value in self.base.items() if key != "output"}
        for key, value in parameters.items():
            _set(tables, key.split("."), value)
        return config_from_tables(tables, folder=self.folder)


def load_sweep(path, changes=()):
    """Read a sweep: a configuration file with a table [sweep].

    Parameters
    ----------
    path : str or Path
        A TOML file.
    changes : sequence of str
        Assignments such as ``"flow.t_end=10"`` that replace values of the base configuration.

    Returns
    -------
    SweepConfig

    Raises
    ------
    InvalidInput
        If the file is missing or is not TOML, or its table [sweep] cannot be used. Its runs are checked when they are
        asked for: `SweepConfig.runs`.
    """
    path = Path(path)
    return read_sweep(read_text(path), folder=path.parent, changes=changes, name=path.name)


def read_sweep(text, *, folder=Path(), changes=(), name="the sweep"):
    """Return the `SweepConfig` of a TOML text; parameters and errors as for `load_sweep`."""
    tables = read_tables(text, changes, name)
    table = tables.pop("sweep", None)
    if not isinstance(table, dict):
        raise InvalidInput(f'{name} has no table [sweep], with lines such as "model.particles" = [50, 100]')
    combine = table.pop("combine", COMBINATIONS[0])
    return SweepConfig(tables, dict(_values(table)), combine, Path(folder))


def told(parameters):
    """Return parameters as text for people."""
    return ", ".join(f"{key} = {value}" for key, value in parameters.items())


# --- the values of a key ----------------------------------------------------------------------------------------------


def _values(table, prefix=""):
    """Yield (dotted key, list of values) of a table; "a.b" = […] and a.b = […] are the same."""
    for name, given in table.items():
        key = prefix + name
        if isinstance(given, list):
            if not given:
                raise InvalidInput(f'sweep."{key}" = []: valid are lists with a value')
            yield key, given
        elif isinstance(given, dict) and len(given) == 1 and next(iter(given)) in _SPACINGS:
            ((spacing, numbers),) = given.items()
            yield key, _SPACINGS[spacing](f'sweep."{key}" = {{ {spacing} = {numbers} }}', numbers)
        elif isinstance(given, dict) and given and not given.keys() & _SPACINGS.keys():
            yield from _values(given, f"{key}.")
        else:
            raise InvalidInput(
                f'sweep."{key}" = {given!r}: valid are a list of values, {{ range = n }}, {{ log = [a, b, n] }} and '
                "{ linear = [a, b, n] }"
            )


def _range(name, numbers):
    given = numbers if isinstance(numbers, list) else [numbers]
    if not (1 <= len(given) <= 3 and all(is_integer(item, -(10**12), 10**12) for item in given) and given[2:] != [0]):
        raise InvalidInput(f"{name}: valid are integers n, [start, stop] or [start, stop, step]")
    found = range(*given)
    if not 1 <= len(found) <= MOST_RUNS:
        raise InvalidInput(f"{name} has {len(found)} values; valid are 1 to {MOST_RUNS}")
    return list(found)


def _spaced(positive, space):
    def values(name, numbers):
        valid = "two numbers above 0" if positive else "two numbers"
        if not (isinstance(numbers, list) and len(numbers) == 3 and all(map(is_real, numbers))):
            raise InvalidInput(f"{name}: valid are {valid} and how many values, [a, b, n]")
        low, high, count = numbers
        if not is_integer(count, 1, MOST_RUNS) or (positive and not min(low, high) > 0):
            raise InvalidInput(f"{name}: valid are {valid} and how many values, [a, b, n]")
        return space(float(low), float(high), count).tolist()

    return values


_SPACINGS = {"range": _range, "log": _spaced(True, np.geomspace), "linear": _spaced(False, np.linspace)}


def _set(tables, path, value):
    """Set a value in nested tables, which are copied on the way."""
    for name in path[:-1]:
        below = tables.get(name, {})
        tables[name] = dict(below) if isinstance(below, dict) else {}
        tables = tables[name]
    tables[path[-1]] = value


# --- the checks -------------------------------------------------------------------------------------------------------


class _Sizes:
    """Checks completely whatever differs in more than the seed, and tells about how many bytes it takes."""

    def __init__(self):
        self._known, self._data = {}, (None, None)

    def of(self, config, text):
        key = text.replace(f"seed = {config.seed}\n", "", 1)
        if key not in self._known:
            if self._data[0] != config.data:
                self._data = config.data, config.load_data()
            energy, measure = config.check(self._data[1])
            data = getattr(energy, "data", None)
            held = 0 if data is None else data.X.nbytes + data.X_test.nbytes
            self._known[key] = 16 * measure.particles.nbytes + 4 * held
        return self._known[key]


class _Digests:
    """Fingerprints of configurations; a file that many of them read is read once."""

    def __init__(self):
        self._known = {}

    def fingerprint(self, config, text):
        digest = hashlib.sha256(text.encode())
        for name in (config.data and config.data.file, config.initial.file):
            digest.update(self._of_file(config.folder / name) if name else b"")
        return digest.hexdigest()

    def _of_file(self, path):
        if path not in self._known:
            digest = hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(2**20):
                    digest.update(block)
            self._known[path] = digest.digest()
        return self._known[path]
