"""Teacher and student: a wide network learns a teacher of three neurons, and its particles gather at the teacher's.

Run from anywhere: ``python teacher_student.py``.
"""

import numpy as np

import particleflow as pf

model = pf.TwoLayer("relu")
data, teacher = pf.teacher_dataset(model, n=400, d=5, neurons=3, rng=3)
energy = pf.EmpiricalEnergy(model, data, regularizer="path-norm", strength=1e-4)
result = pf.solve(energy, pf.sphere(300, data.d, rng=0), t_end=2000.0, rtol=1e-5, progress=True)

print(f"test error {result.observables['test_error'][0]:.2f} → {result.observables['test_error'][-1]:.1e}")

# How much of the network's mass |a|‖w‖ points along one of the teacher's directions, within five degrees?
a, w = result.measure["a"], result.measure["w"]
mass, size = np.abs(a) * np.linalg.norm(w, axis=1), np.linalg.norm(w, axis=1)
directions = teacher[:, 1:] / np.linalg.norm(teacher[:, 1:], axis=1, keepdims=True)
cosines = w[size > 0] @ directions.T / size[size > 0, None]
same_sign = np.sign(a[size > 0])[:, None] == np.sign(teacher[:, 0])
aligned = ((cosines > np.cos(np.radians(5))) & same_sign).any(axis=1)
print(f"mass along the teacher's directions: {mass[size > 0][aligned].sum() / mass.sum():.0%}")
