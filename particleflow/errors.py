"""The errors of particleflow: each carries one sentence that names the field, its value and what would be valid."""


class ParticleflowError(Exception):
    """Base class of every error that particleflow raises on purpose."""


class InvalidInput(ParticleflowError, ValueError):
    """A value given by the user cannot be used: configuration, data, particles or options."""


class TrajectoryError(ParticleflowError):
    """A trajectory file cannot be read, written or understood."""
