"""Two stored flows side by side: how far apart their clouds and their functions are, and what was set differently."""

import numpy as np

from particleflow.analysis import cloud_distance
from particleflow.errors import InvalidInput
from particleflow.neurons import effective_neurons
from particleflow.summary import plain
from particleflow.toml import differences
from particleflow.wording import number


def function_difference(trajectory, other, inputs=None, *, frame=-1, other_frame=-1):
    """Compare the functions of two stored flows on given inputs, in the units of the user.

    Parameters
    ----------
    trajectory, other : Trajectory
        Flows of networks on data with the same features.
    inputs : array_like, shape (n, k), optional
        In the units of the user, without the constant feature; by default the training inputs of the first. For one
        feature a grid: ``np.linspace(low, high, 801)[:, None]``.
    frame, other_frame : int
        Which frames; by default the last ones.

    Returns
    -------
    (f, g) : ndarrays, shape (n,)
        The values of both at the inputs.

    Raises
    ------
    InvalidInput
        If a file does not hold its data and model, the features differ, or the inputs do not fit them.
    """
    for one in (trajectory, other):
        if one.data is None or one.model is None:
            raise InvalidInput(f"{one.path.name!r} does not hold its data and model: it has no function to compare")
    if trajectory.data.features != other.data.features:
        raise InvalidInput(
            f"{trajectory.path.name!r} has the features {_listed(trajectory.data.features)} and {other.path.name!r} "
            f"{_listed(other.data.features)}: their functions cannot be compared"
        )
    if inputs is None:
        inputs = trajectory.data.inputs_in_units(trajectory.data.X)
    pairs = ((trajectory, frame), (other, other_frame))
    return tuple(_values(one, one.particles(at), inputs) for one, at in pairs)


def _values(trajectory, measure, inputs):
    """Return f_μ at inputs in the units of the user."""
    data = trajectory.data
    try:
        inputs = np.asarray(inputs, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput("the inputs are not an array of numbers") from None
    if inputs.ndim != 2 or inputs.shape[1] != data.x_mean.size or not np.isfinite(inputs).all():
        raise InvalidInput(f"the inputs have shape {inputs.shape}; valid: finite numbers (n, {data.x_mean.size})")
    X = (inputs - data.x_mean) / data.x_scale
    if data.bias:
        X = np.column_stack([X, np.ones(len(X))])
    return data.targets_in_units(trajectory.model.predict(measure.particles, X))


def compare(trajectory, other, *, particles=None):
    """Compare two stored flows at their last frames.

    Parameters
    ----------
    trajectory, other : Trajectory
        Any two flows.
    particles : int, optional
        Take W2 between that many particles of each, an estimate, where the clouds are too large.

    Returns
    -------
    dict
        What ``particleflow compare --json`` prints: of each flow file, status, particles, flow_time, seconds, energy
        and effective_neurons; w2 between the last clouds; function_difference, the root mean square of f − g over the
        training inputs of the first in the units of the target, and relative, over that of its targets about their
        mean; configuration, the keys that differ. What cannot be compared is None, and why is in notes.

    Raises
    ------
    InvalidInput
        If the exact distance would cost too much.
    TransportFailed
        If it is not proved.
    """
    notes = []
    result = {"runs": [_facts(one, notes) for one in (trajectory, other)]}
    clouds = [one.particles(-1) for one in (trajectory, other)]
    result["w2"] = result["w2_particles"] = result["function_difference"] = result["function_difference_relative"] = (
        None
    )
    if any(one.model is not None and not one.model.exchangeable for one in (trajectory, other)):
        notes.append("the particles of a hard-synchronized network are no sample of a law: no W2")
    elif clouds[0].layout != clouds[1].layout:
        notes.append("the particles of the two differ in kind: no W2")
    else:
        sizes = [min(cloud.m, particles or cloud.m) for cloud in clouds]
        result["w2"], result["w2_particles"] = cloud_distance(*clouds, particles=particles), sizes
    try:
        f, g = function_difference(trajectory, other)
        apart, targets = np.sqrt(np.mean((f - g) ** 2)), trajectory.data.targets_in_units(trajectory.data.y)
        result["function_difference"] = apart
        result["function_difference_relative"] = apart / targets.std() if targets.std() > 0 else None
    except InvalidInput as error:
        notes.append(str(error))
    changed = differences(trajectory.config, other.config)
    result["configuration"] = {key: list(values) for key, values in changed.items()}
    return plain({**result, "notes": notes})


def _facts(trajectory, notes):
    energy, measure = trajectory.observables.get("energy", np.empty(0)), trajectory.particles(-1)
    try:
        count = effective_neurons(measure, trajectory.model).count
    except InvalidInput as error:
        count = None
        notes.append(f"{trajectory.path.name}: {error}")
    return {
        "file": str(trajectory.path),
        "status": trajectory.status,
        "particles": trajectory.m,
        "flow_time": trajectory.time[-1],
        "seconds": trajectory.seconds,
        "energy": energy[-1] if len(energy) else None,
        "effective_neurons": count,
    }


def to_text(result):
    """Return a comparison as text for people."""
    labels = {
        "file": "file",
        "status": "status",
        "particles": "particles",
        "flow_time": "flow time",
        "seconds": "wall time (s)",
        "energy": "energy L",
        "effective_neurons": "effective neurons",
    }
    rows = [(label, *(_cell(run[key]) for run in result["runs"])) for key, label in labels.items()]
    changed = [(key, *map(_cell, values)) for key, values in result["configuration"].items()]
    widths = [max(len(row[k]) for row in (*rows, *changed)) for k in range(3)]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines = [*table, ""]
    if result["w2"] is not None:
        m, other = result["w2_particles"]
        lines.append(f"W2 between the last clouds: {number(result['w2'])} ({m} and {other} particles)")
    if result["function_difference"] is not None:
        relative = result["function_difference_relative"]
        share = "" if relative is None else f", {number(relative)} of the deviation of the targets"
        lines.append(
            f"root mean square of f − g on the training inputs: {number(result['function_difference'])}{share}"
        )
    lines += [f"note: {note}" for note in result["notes"]]
    lines += ["", "configuration: " + ("what differs" if changed else "no difference")]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in changed]
    return "\n".join(lines)


def _cell(value):
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else str(value)


def _listed(names):
    return ", ".join(names[:6]) + ("" if len(names) <= 6 else f" and {len(names) - 6} more")
