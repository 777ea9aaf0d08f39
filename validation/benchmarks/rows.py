"""All rows, in the order in which they are printed."""

from validation.benchmarks import deep_networks, population, storage, study, transport, two_layer

ROWS = (*two_layer.ROWS, *deep_networks.ROWS, *population.ROWS, *transport.ROWS, *storage.ROWS, *study.ROWS)
