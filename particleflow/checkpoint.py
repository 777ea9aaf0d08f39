"""Going on with a stored flow from its last checkpoint, bit for bit as if it had never stopped.

A flow may be resumed with the energy, the initial measure, the seed and the configuration that it was started with;
only its end may move further away.
"""

from dataclasses import dataclass, replace

import numpy as np

from particleflow.errors import InvalidInput
from particleflow.storage import described, fingerprint
from particleflow.toml import differences, loads
from particleflow.trajectory import Trajectory

_SAME = 1e-12  # relative: times that are one
_MAY_CHANGE = ("flow.t_end", "flow.steps", "flow.frames")


@dataclass(frozen=True)
class Past:
    """What a resumed flow knows of the time before.

    Attributes
    ----------
    frames : int
        How many frames it has and keeps.
    particles : ndarray, shape (m, p)
        The particles at which it goes on.
    memory : dict
        What the integrator knew there (`particleflow.integrators.state.State.memory`).
    observables : dict of str → ndarray
        What was measured in the frames that are kept.
    t_end : float
        Where the flow was to end.
    seconds : float
        Wall time that it took, where the file tells.
    """

    frames: int
    particles: np.ndarray
    memory: dict
    observables: dict
    t_end: float
    seconds: float

    def keep(self, planned):
        """Return it without its last frame, if that is at none of the planned times: it told of an interruption."""
        t = self.memory["t"]
        if t == 0 or np.isclose(planned, t, rtol=_SAME, atol=0).any():
            return self
        return replace(
            self,
            frames=self.frames - 1,
            observables={name: values[:-1] for name, values in self.observables.items()},
        )

    def rest(self, planned):
        """Return the planned times that are still to come."""
        return [t for t in planned if t > self.memory["t"] * (1 + _SAME)]


def read_past(path, info, config=None):
    """Return the `Past` of the flow that `info` (a `particleflow.flow.RunInfo`) describes, from its trajectory.

    Parameters
    ----------
    path : str or Path
        The trajectory.
    info : RunInfo
        The flow to go on.
    config : str, optional
        Its configuration as TOML; by default what `info` tells.

    Raises
    ------
    InvalidInput
        If the trajectory belongs to another flow, naming what differs, or ends behind `info.t_end`.
    TrajectoryError
        If the file cannot be read, or holds no checkpoint.
    """
    with Trajectory(path) as trajectory:
        name = f"{str(path)!r}"
        if trajectory.format_version == 1:
            raise InvalidInput(
                f"{name} was written by an older particleflow, whose files hold no checkpoint to go on from"
            )
        if different := _differences(trajectory, info, described(info) if config is None else config):
            raise InvalidInput(f"{name} holds another flow: it differs in {', '.join(different)}")
        checkpoint = trajectory.checkpoint
        frames = checkpoint.pop("frame") + 1
        if info.t_end < trajectory.t_end:
            raise InvalidInput(
                f"flow.t_end = {info.t_end:g}: the flow in {name} was to reach {trajectory.t_end:g}; valid is no less"
            )
        observables = {key: values[:frames] for key, values in trajectory.observables.items()}
        particles = trajectory.particles(frames - 1).particles
        return Past(frames, particles, checkpoint, observables, trajectory.t_end, trajectory.seconds or 0.0)


def _differences(trajectory, info, config):
    """Return the names of what this flow and the stored one do not share."""
    names = [name for name in differences(trajectory.config, loads(config)) if name not in _MAY_CHANGE]
    if names:
        return names
    if info.seed != trajectory.seed:
        return ["seed"]
    if not np.array_equal(trajectory.particles(0).particles, info.measure.particles):
        return ["the initial particles"]
    same = fingerprint(trajectory.config_text, info.energy, info.measure, info.seed) == trajectory.fingerprint
    return [] if same else ["the data, the teacher or the supports"]
