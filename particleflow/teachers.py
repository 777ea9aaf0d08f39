"""Synthetic data: a random network of a few neurons, the teacher f*, labels Gaussian inputs (Lazarus 2022, §2.5.2)."""

from dataclasses import replace

import numpy as np

from particleflow.datasets import dataset_from_arrays
from particleflow.errors import InvalidInput
from particleflow.values import is_integer

SAMPLES, DIMENSION, NEURONS = 4000, 100, 10
"""The sizes of the report: n, d and m_t."""


def random_teacher(model, *, d=DIMENSION, neurons=NEURONS, rng):
    """Draw a teacher's particles, all parameters from N(0, 1).

    Parameters
    ----------
    model : Model
        The architecture.
    d : int
        Dimension of the inputs.
    neurons : int
        m_t, the number of neurons; a hard-synchronized teacher has as many as supports.
    rng : int or numpy.random.Generator
        Seed or source of randomness.

    Returns
    -------
    ndarray, shape (neurons, p)

    Raises
    ------
    InvalidInput
        If d or neurons is not a positive integer, or neurons is not the number of the model's supports.
    """
    _check_counts({"data.d": d, "data.teacher.neurons": neurons})
    return model.admissible(np.random.default_rng(rng).standard_normal((neurons, model.layout(d).size)))


def teacher_dataset(model, *, n=SAMPLES, d=DIMENSION, neurons=NEURONS, bias=False, rng):
    """Draw a teacher and data labelled by it.

    Parameters
    ----------
    model : Model
        The architecture of the teacher; all its parameters are drawn from N(0, 1).
    n : int
        Rows to train on; as many again are drawn for testing.
    d : int
        Features of the inputs, drawn from N(0, I_d).
    neurons : int
        m_t, the number of the teacher's neurons.
    bias : bool
        Append a constant feature 1, which the teacher sees too.
    rng : int or numpy.random.Generator
        Seed or source of randomness.

    Returns
    -------
    data : Dataset
        Inputs, targets y = f*(x), and test rows.
    teacher : ndarray, shape (neurons, p)
        The teacher's particles.

    Raises
    ------
    InvalidInput
        If n, d or neurons is not a positive integer.
    """
    _check_counts({"data.n": n, "data.d": d, "data.teacher.neurons": neurons})
    rng = np.random.default_rng(rng)
    teacher = random_teacher(model, d=d + bias, neurons=neurons, rng=rng)
    inputs = rng.standard_normal((2 * n, d))
    seen = np.column_stack([inputs, np.ones(2 * n)]) if bias else inputs
    labels = model.predict(teacher, seen)
    train = dataset_from_arrays(inputs[:n], labels[:n], bias=bias, target="f*", origin="teacher")
    return replace(train, X_test=np.ascontiguousarray(seen[n:]), y_test=labels[n:]), teacher


def _check_counts(counts):
    for name, value in counts.items():
        if not is_integer(value):
            raise InvalidInput(f"{name} = {value!r}: valid are integers from 1")
