"""The errors of particleflow: each carries one sentence that names the field, its value and what would be valid."""


class ParticleflowError(Exception):
    """Base class of every error that particleflow raises on purpose."""


class InvalidInput(ParticleflowError, ValueError):
    """A value given by the user cannot be used: configuration, data, particles or options."""


class TransportFailed(ParticleflowError):
    """An optimal transport problem was not solved, or its solution could not be proved optimal."""


class SolverFailed(ParticleflowError):
    """A convex program was not solved, or the solver's answer is not what it claims to be."""


class MissingPackage(ParticleflowError):
    """An optional package that is needed is not installed; the message says how to install it."""


class TrajectoryError(ParticleflowError):
    """A trajectory file cannot be read, written or understood."""


class NoFrame(TrajectoryError):
    """A trajectory holds nothing yet: its flow was killed before the first frame."""


def lookup(field, name, table):
    """Return the entry of a table by its name; an entry itself is returned as it is.

    Raises
    ------
    InvalidInput
        If there is none of that name; the message names the field and lists the valid ones.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    if isinstance(name, type(next(iter(table.values())))):
        return name
    raise InvalidInput(f"{field} = {name!r} is unknown; valid: {', '.join(table)}")


def require_exchangeable(model, what):
    """Raise `InvalidInput` if the particles of a model are not exchangeable."""
    if not model.exchangeable:
        raise InvalidInput(f"{what} is not defined for the {model.kind} model: its particles share their first layer")
