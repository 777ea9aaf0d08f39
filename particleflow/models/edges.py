"""The sparse second layer: which cluster reads which neuron of the first, and sums along those edges."""

import numpy as np

from particleflow.jit import jit


def edges(supports, units):
    """Return the edges by cluster (first edge of each, neuron, slot in u) and by neuron (the same, with cluster)."""
    cluster, k = np.nonzero(supports >= 0)
    unit, slot = supports[cluster, k], cluster * supports.shape[1] + k
    by_unit = np.argsort(unit, kind="stable")
    edges = range(len(supports) + 1), range(units + 1)
    of_cluster, of_unit = np.searchsorted(cluster, edges[0]), np.searchsorted(unit[by_unit], edges[1])
    return of_cluster, unit, slot, of_unit, cluster[by_unit], slot[by_unit]


@jit
def read(u, h, graph, q):
    """Fill q (m, count) with Σ_k u_ik h_S(i,k), where h (units, count) are the values of the first layer."""
    of_cluster, unit, slot = graph[:3]
    count = h.shape[1]
    for i in range(q.shape[0]):
        row = q[i]
        e, end = of_cluster[i], of_cluster[i + 1]
        row[:] = 0.0
        while e + 3 < end:  # four rows at once: a quarter of the traffic
            u0, u1, u2, u3 = u[slot[e]], u[slot[e + 1]], u[slot[e + 2]], u[slot[e + 3]]
            h0, h1, h2, h3 = h[unit[e]], h[unit[e + 1]], h[unit[e + 2]], h[unit[e + 3]]
            for j in range(count):
                row[j] += u0 * h0[j] + u1 * h1[j] + u2 * h2[j] + u3 * h3[j]
            e += 4
        while e < end:
            h0 = h[unit[e]]
            for j in range(count):
                row[j] += u[slot[e]] * h0[j]
            e += 1


@jit
def pull_back(a, u, h, g, graph, pull, slope, grad_u):
    """Add Σ_j g_ij h_qj to grad_u for every edge, and multiply slope_q by Σ a_i u_ik g_i over the readers of q."""
    of_unit, cluster, slot = graph[3:]
    count = h.shape[1]
    for q in range(h.shape[0]):
        pull[:] = 0.0
        value = h[q]
        e, end = of_unit[q], of_unit[q + 1]
        while e + 3 < end:  # four readers at once
            c0, c1, c2, c3 = cluster[e], cluster[e + 1], cluster[e + 2], cluster[e + 3]
            s0, s1, s2, s3 = slot[e], slot[e + 1], slot[e + 2], slot[e + 3]
            w0, w1, w2, w3 = a[c0] * u[s0], a[c1] * u[s1], a[c2] * u[s2], a[c3] * u[s3]
            g0, g1, g2, g3 = g[c0], g[c1], g[c2], g[c3]
            t0 = t1 = t2 = t3 = 0.0
            for j in range(count):
                t0 += g0[j] * value[j]
                t1 += g1[j] * value[j]
                t2 += g2[j] * value[j]
                t3 += g3[j] * value[j]
                pull[j] += w0 * g0[j] + w1 * g1[j] + w2 * g2[j] + w3 * g3[j]
            grad_u[s0] += t0
            grad_u[s1] += t1
            grad_u[s2] += t2
            grad_u[s3] += t3
            e += 4
        while e < end:
            weight = a[cluster[e]] * u[slot[e]]
            line = g[cluster[e]]
            total = 0.0
            for j in range(count):
                total += line[j] * value[j]
                pull[j] += weight * line[j]
            grad_u[slot[e]] += total
            e += 1
        for j in range(count):
            slope[q, j] *= pull[j]
