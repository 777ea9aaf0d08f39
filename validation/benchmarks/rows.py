"""All rows, in the order in which they are printed."""

from validation.benchmarks import (
    deep_networks,
    plane,
    population,
    scaling,
    start_up,
    storage,
    study,
    transport,
    two_layer,
    two_threads,
)

ROWS = (
    *two_layer.ROWS,
    *plane.ROWS,
    *deep_networks.ROWS,
    *population.ROWS,
    *transport.ROWS,
    *storage.ROWS,
    *scaling.ROWS,
    *two_threads.ROWS,
    *study.ROWS,
    *start_up.ROWS,
)
