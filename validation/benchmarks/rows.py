"""All rows, in the order in which they are printed."""

from validation.benchmarks import deep_networks, plane, scaling, start_up, study, two_layer

ROWS = (*two_layer.ROWS, *plane.ROWS, *deep_networks.ROWS, *scaling.ROWS, *study.ROWS, *start_up.ROWS)
