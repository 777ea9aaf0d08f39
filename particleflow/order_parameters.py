"""Overlaps of the particles of a two-layer network with its teacher: the order parameters of Saad & Solla (1995).

With Gaussian inputs x ~ N(0, I_d) a network depends on its weights through their inner products only, without a
factor 1/d.
"""

import numpy as np

from particleflow.errors import InvalidInput


def overlaps(measure, teacher):
    """Return the matrices of inner products of the particles and the teacher's neurons.

    Parameters
    ----------
    measure : EmpiricalMeasure
        m two-layer particles (a, w).
    teacher : array_like, shape (m_t, 1 + d)
        The teacher's particles (a*, w*), of a `PopulationEnergy` or of `teacher_dataset`.

    Returns
    -------
    Q : ndarray, shape (m, m)
        ⟨w_i, w_j⟩.
    R : ndarray, shape (m, m_t)
        ⟨w_i, w*_k⟩.
    T : ndarray, shape (m_t, m_t)
        ⟨w*_k, w*_l⟩.

    Raises
    ------
    InvalidInput
        If the particles are not those of a two-layer network, or the teacher has other dimensions.

    References
    ----------
    Saad & Solla 1995, *On-line learning in soft committee machines*, Phys. Rev. E 52.
    """
    teacher = check_teacher(measure.layout, teacher)
    W, V = measure["w"], teacher[:, 1:]
    return W @ W.T, W @ V.T, V @ V.T


def projections(theta, directions):
    """Return ∫ a ⟨w, e_k⟩ dμ for particles theta (m, 1 + d) and unit vectors e (k, d), shape (k,)."""
    return (theta[:, 0] @ theta[:, 1:]) @ directions.T / len(theta)


def alignments(theta, directions):
    """Return the largest cosine of any w with each e_k, shape (k,); w = 0 has the cosine 0."""
    norms = np.linalg.norm(theta[:, 1:], axis=1, keepdims=True)
    units = np.divide(theta[:, 1:], norms, out=np.zeros_like(theta[:, 1:]), where=norms > 0)
    return (units @ directions.T).max(axis=0)


def check_teacher(layout, teacher):
    """Return the teacher as an array; raise `InvalidInput` unless it fits two-layer particles of that layout."""
    if layout.names != ("a", "w"):
        raise InvalidInput(f"overlaps need the blocks a, w of a two-layer network, found {', '.join(layout.names)}")
    teacher = np.asarray(teacher, dtype=np.float64)
    if teacher.ndim != 2 or len(teacher) == 0 or teacher.shape[1] != layout.size:
        raise InvalidInput(f"teacher has shape {teacher.shape}: valid is (m_t, {layout.size}), m_t from 1")
    return teacher
