"""The errors of particleflow: each carries one sentence that names the field, its value and what would be valid."""


class ParticleflowError(Exception):
    """Base class of every error that particleflow raises on purpose."""


class InvalidInput(ParticleflowError, ValueError):
    """A value given by the user cannot be used: configuration, data, particles or options."""


class TransportFailed(ParticleflowError):
    """An optimal transport problem was not solved, or its solution could not be proved optimal."""


class TrajectoryError(ParticleflowError):
    """A trajectory file cannot be read, written or understood."""


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
