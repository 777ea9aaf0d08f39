"""Integrators: they know arrays and a velocity, no networks."""
