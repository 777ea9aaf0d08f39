"""A stored sweep as theory wants it: limits in one parameter, over seeds, with the power laws they follow."""

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from particleflow.analysis import cloud_distance
from particleflow.errors import InvalidInput, MissingPackage, TrajectoryError
from particleflow.rates import fit_rate
from particleflow.sweep_config import SEED, told
from particleflow.sweep_index import Index
from particleflow.sweep_runs import DONE
from particleflow.trajectory import Trajectory
from particleflow.values import is_real

WIDTH, TO_WIDEST = "model.particles", "w2_to_widest"
_BAND = (0.16, 0.84)  # one standard deviation to each side, of normal values
_FEWEST = 3  # places that a power law needs
_FAR_FROM_WIDEST = 4


@dataclass(frozen=True)
class Curve:
    """A value against one swept parameter, over the seeds.

    Attributes
    ----------
    name, against : str
        The value and the parameter.
    at : dict of str → object
        The values of the other swept parameters, apart from the seed.
    x : ndarray, shape (K,)
        The values of the parameter, increasing.
    median, low, high : ndarray, shape (K,)
        The median over the seeds, and the 16th and 84th percentile.
    count : ndarray, shape (K,)
        How many runs each of them rests on.
    """

    name: str
    against: str
    at: dict
    x: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


@dataclass(frozen=True)
class PowerLaw:
    """A power law value ≈ prefactor · x^exponent, fitted to all runs by least squares on logarithms.

    Attributes
    ----------
    name, against : str
        The value and the parameter x.
    at : dict of str → object
        The values of the other swept parameters, apart from the seed.
    exponent, low, high : float
        The exponent and its confidence interval (`particleflow.rates.Rate`), which takes the runs as independent.
    confidence : float
        How likely the interval holds the exponent, if the runs scatter independently and normally about the law.
    prefactor : float
        Of x^exponent.
    runs : int
        How many runs it was fitted to.
    x_low, x_high : float
        Where.
    """

    name: str
    against: str
    at: dict
    exponent: float
    low: float
    high: float
    confidence: float
    prefactor: float
    runs: int
    x_low: float
    x_high: float

    def __call__(self, x):
        """Return the law at x."""
        return self.prefactor * np.asarray(x, dtype=float) ** self.exponent

    def __str__(self):
        at = f" at {told(self.at)}" if self.at else ""
        return (
            f"{self.name} ≈ {self.prefactor:.4g} × {self.against}^({self.exponent:.3f}){at}: interval {self.low:.3f} … "
            f"{self.high:.3f} ({100 * self.confidence:.3g} %), {self.runs} runs from {self.x_low:g} to {self.x_high:g}"
        )


class Sweep:
    """A stored sweep, as its trajectories are when it is opened.

    Parameters
    ----------
    folder : str or Path
        Of ``particleflow sweep`` or `run_sweep`.

    Attributes
    ----------
    folder : Path
        The folder.
    config : str
        The sweep as TOML.
    parameters : dict of str → list
        The values of each swept key, of all runs.
    status, message : list of str
        How each run stands or ended.
    paths : list of Path
        Of the trajectories.

    Raises
    ------
    InvalidInput
        If the folder holds no sweep.
    TrajectoryError
        If its index is damaged.
    """

    def __init__(self, folder):
        index = Index.read(folder)
        index.refresh()
        self.folder, self.config, self._rows = Path(folder), index.config, index.rows
        self.parameters = {key: [values[key] for values in index.parameters] for key in index.parameters[0]}
        self.status, self.message = ([row[name] for row in index.rows] for name in ("status", "message"))
        self.paths = [index.path(number) for number in range(len(index))]

    def __len__(self):
        return len(self._rows)

    def __repr__(self):
        return f"Sweep({str(self.folder)!r}: {self.counted()})"

    def counted(self):
        """Return how many runs there are of each status, as text."""
        counts = {status: self.status.count(status) for status in dict.fromkeys(self.status)}
        return f"{len(self)} runs: " + ", ".join(f"{count} {status}" for status, count in counts.items())

    def troubles(self):
        """Return the runs that have not ended as planned, a sentence for each, as text for people."""
        rows = zip(self.status, self.message, self.to_dict(), strict=True)
        return [f"{told(row['parameters'])}: {status}, {text}" for status, text, row in rows if status not in DONE]

    @property
    def done(self):
        """Which runs ended as planned, a boolean array."""
        return np.array([status in DONE for status in self.status])

    def open(self, number):
        """Return the `Trajectory` of a run."""
        return Trajectory(self.paths[number])

    # --- tables -------------------------------------------------------------------------------------------------------

    @property
    def names(self):
        """The names of all values: final observables, those of the certificate, seconds, flow_time and w2_to_widest."""
        found = dict.fromkeys(name for row in self._rows for name in row["observables"])
        if any(row["certificate"] for row in self._rows):
            found |= dict.fromkeys(("gap", "relative_gap", "lower_bound"))
        found |= dict.fromkeys(("seconds", "flow_time"))
        return [*found, *([TO_WIDEST] if WIDTH in self.parameters else [])]

    def values(self, name):
        """Return a value or a numeric parameter of all runs, shape (runs,); NaN where a run has none.

        Raises
        ------
        InvalidInput
            If there is none of that name.
        """
        if name in self.parameters:
            if not all(map(is_real, self.parameters[name])):
                raise InvalidInput(f"the values of {name} are no numbers")
            return np.array(self.parameters[name], dtype=float)
        if name not in self.names:
            raise InvalidInput(f"{name!r} is unknown; valid: {', '.join([*self.parameters, *self.names])}")
        if name == TO_WIDEST:
            return self.w2_to_widest
        found = [{**row, **row["observables"], **(row["certificate"] or {})}.get(name) for row in self._rows]
        return np.array([np.nan if value is None else value for value in found], dtype=float)

    def to_dict(self):
        """Return the runs as plain dicts: parameters, file, status, message, observables, certificate and so on."""
        return [
            {"parameters": {key: values[number] for key, values in self.parameters.items()}, "file": str(path), **row}
            for number, (path, row) in enumerate(zip(self.paths, self._rows, strict=True))
        ]

    def to_pandas(self):
        """Return a table with a row for each run, a `pandas.DataFrame`."""
        pandas = _package("pandas")
        columns = {**self.parameters, "status": self.status, "message": self.message}
        columns |= {name: self.values(name) for name in self.names if name != TO_WIDEST}
        return pandas.DataFrame({**columns, "file": [str(path) for path in self.paths]})

    def to_xarray(self):
        """Return the values as an `xarray.Dataset`: a dimension for each swept key, of a zipped sweep one for all.

        Parameters that are no numbers or texts become texts.
        """
        xarray = _package("xarray")
        plain = {key: [_plain(value) for value in values] for key, values in self.parameters.items()}
        places = {key: list(dict.fromkeys(values)) for key, values in plain.items()}
        names = [name for name in self.names if name != TO_WIDEST]
        if math.prod(map(len, places.values())) != len(self):
            arrays = {name: ("run", self.values(name)) for name in names}
            return xarray.Dataset(arrays, {key: ("run", values) for key, values in plain.items()})
        at = tuple([places[key].index(value) for value in values] for key, values in plain.items())
        arrays = {}
        for name in names:
            values = np.full([len(values) for values in places.values()], np.nan)
            values[at] = self.values(name)
            arrays[name] = (list(places), values)
        return xarray.Dataset(arrays, places)

    # --- limits -------------------------------------------------------------------------------------------------------

    @cached_property
    def w2_to_widest(self):
        """W2 between the last cloud of each run and that of the widest run with the same other parameters and seed.

        Shape (runs,); NaN for the widest runs themselves, for runs that are not done, and where the particles have no
        distance or it would cost too much.
        """
        distances = np.full(len(self), np.nan)
        if WIDTH not in self.parameters:
            return distances
        groups = self._groups(WIDTH, with_seed=True)
        width = self.values(WIDTH)
        for numbers in groups.values():
            widest = max(numbers, key=lambda number: width[number])
            target = self._cloud(widest)
            for number in numbers:
                if target is not None and width[number] < width[widest]:
                    distances[number] = _distance(self._cloud(number), target)
        return distances

    def curves(self, value, against):
        """Return a value against a swept parameter, over the seeds: one curve for each choice of the other parameters.

        Parameters
        ----------
        value : str or array_like, shape (runs,)
            One of `names`, or numbers of one's own, NaN where there is none.
        against : str
            A swept key whose values are numbers.

        Returns
        -------
        list of Curve
        """
        name, y, x = self._given(value, against)
        found = []
        for at, numbers in self._groups(against).items():
            numbers = [number for number in numbers if math.isfinite(y[number])]
            places = np.unique(x[numbers])
            over_seeds = [y[[number for number in numbers if x[number] == place]] for place in places]
            rows = [(np.median(v), *np.quantile(v, _BAND), len(v)) for v in over_seeds]
            median, low, high, count = np.array(rows).T if rows else np.empty((4, 0))
            found.append(Curve(name, against, json.loads(at), places, median, low, high, count.astype(int)))
        return [curve for curve in found if len(curve.x)]

    def fits(self, value, against, *, low=-math.inf, high=math.inf, confidence=0.95):
        """Fit power laws to a value against a swept parameter: one for each choice of the other parameters.

        Parameters
        ----------
        value, against
            As for `curves`; what is not above 0 is left out.
        low, high : float
            The window of the parameter.
        confidence : float
            Of the interval.

        Returns
        -------
        list of PowerLaw
            Of those with values at three places at least.
        """
        name, y, x = self._given(value, against)
        fits = []
        usable = (x > 0) & (y > 0) & (x >= low) & (x <= high)
        for at, numbers in self._groups(against).items():
            numbers = [number for number in numbers if usable[number]]
            if len(np.unique(x[numbers])) < _FEWEST:
                continue
            rate = fit_rate(x[numbers], y[numbers], law="power", confidence=confidence)
            window = float(x[numbers].min()), float(x[numbers].max())
            law = (-rate.rate, -rate.high, -rate.low, rate.confidence, rate.prefactor, rate.n, *window)
            fits.append(PowerLaw(name, against, json.loads(at), *law))
        return fits

    def fits_to_widest(self):
        """Return the fits of W2 to the widest run against the width m, for m ≤ M/4 where that leaves enough.

        The widest run has its own distance from the limit, of the order of that of runs nearly as wide.
        """
        most = np.max(self.values(WIDTH)) / _FAR_FROM_WIDEST
        far = self.fits(TO_WIDEST, WIDTH, high=most)
        return far or self.fits(TO_WIDEST, WIDTH)

    def _cloud(self, number):
        """Return the last cloud of a run; None if its particles are no sample of a law, or its trajectory has gone."""
        try:
            with self.open(number) as trajectory:
                alike = trajectory.model is None or trajectory.model.exchangeable
                return trajectory.particles(-1) if alike else None
        except TrajectoryError:
            return None

    def _given(self, value, against):
        if against not in self.parameters:
            raise InvalidInput(f"{against!r} is not swept; valid: {', '.join(self.parameters)}")
        x = self.values(against)
        if isinstance(value, str):
            return value, np.where(self.done, self.values(value), np.nan), x
        y = np.array(value, dtype=float)
        if y.shape != x.shape:
            raise InvalidInput(f"the values have shape {y.shape}: valid is one for each run, {x.shape}")
        return "value", y, x

    def _groups(self, against, *, with_seed=False):
        """Return the numbers of the runs that are done, by the other parameters as JSON."""
        others = [key for key in self.parameters if key != against and (with_seed or key != SEED)]
        groups = {}
        for number in np.flatnonzero(self.done):
            at = json.dumps({key: self.parameters[key][number] for key in others})
            groups.setdefault(at, []).append(int(number))
        return groups


def _distance(cloud, target):
    try:
        return np.nan if cloud is None else cloud_distance(cloud, target)
    except InvalidInput:  # it would take too long
        return np.nan


def _plain(value):
    return value if isinstance(value, (str, bool)) or is_real(value) else json.dumps(value)


def _package(name):
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise MissingPackage(f"tables need {name}: pip install {name}") from None
