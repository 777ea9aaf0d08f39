"""particleflow: mean-field training dynamics of wide neural networks, as interacting particles.

Names are loaded when they are first used: importing the package compiles nothing and starts no work.
"""

from importlib import import_module

__version__ = "0.1.0"

_ROOMS = {
    "errors": (
        "InvalidInput",
        "MissingPackage",
        "ParticleflowError",
        "SolverFailed",
        "TrajectoryError",
        "TransportFailed",
    ),
    "measure": (
        "EmpiricalMeasure",
        "Layout",
        "circle_grid",
        "gaussian",
        "half_sphere",
        "measure_from_file",
        "one_signed",
        "sphere",
        "uniform",
    ),
    "transport": ("Coupling", "coupling", "Matcher", "matching", "row_measure", "w2", "w2_squared"),
    "synchronization": (
        "Bracket",
        "bound_B",
        "circulant_graph",
        "cluster_rows",
        "mean_field_program",
        "multi_marginal",
        "sum_w2_squared",
        "synchronization_bracket",
        "synchronization_term",
    ),
    "synchronization_figures": ("hard_model_figure", "sub_neuron_figure", "synchronization_graph_figure"),
    "activations": ("Activation", "get_activation"),
    "losses": ("Loss", "get_loss"),
    "regularizers": ("Regularizer", "get_regularizer"),
    "datasets": ("Dataset", "dataset_from_arrays", "load_dataset"),
    "models.two_layer": ("TwoLayer",),
    "models.three_layer": ("ThreeLayer",),
    "models.hard_synchronized": ("HardSynchronized", "bernoulli_supports", "circulant_supports", "exact_supports"),
    "models": ("build_model",),
    "kernels": ("EmpiricalKernel", "PopulationKernel", "pairwise_energy", "pairwise_velocity"),
    "pair_kernels": ("PairKernel", "check_kernel"),
    "built_in_kernels": (
        "PAIR_KERNELS",
        "build_kernel",
        "dirichlet",
        "energy_distance_to_uniform",
        "gaussian_mmd",
        "kuramoto",
        "log_gas",
        "newtonian",
        "quadratic_aggregation",
        "riesz",
    ),
    "penalties": ("Synchronization",),
    "metrics": ("ConicMetric",),
    "energy": ("ConicEnergy", "EmpiricalEnergy", "KernelEnergy", "PopulationEnergy"),
    "reference.activation_patterns": ("PatternProgram", "pattern_program"),
    "reference.conditional_gradient": ("Optimum", "global_minimum"),
    "reference.circle_grid": ("CircleSolution", "solve_on_circle"),
    "order_parameters": ("overlaps",),
    "integrators.tableaus": ("TABLEAUS", "Tableau"),
    "integrators.step_size": ("FixedStep", "PIController"),
    "integrators.runge_kutta": ("RungeKutta",),
    "integrators.langevin": ("Temperature",),
    "entropy": ("differential_entropy",),
    "observers": ("EnergyBelow", "FreeEnergy", "Observer", "Overlaps", "Stationary", "Stop", "TestError", "WallClock"),
    "certificate": ("Certificate", "CertifiedGap", "certify", "certify_frame"),
    "hypotheses": ("Hypotheses", "Hypothesis", "check_hypotheses"),
    "births": ("birth",),
    "frank_wolfe": ("FrankWolfeGap", "frank_wolfe_gap"),
    "polishing": ("Polished", "polish", "polish_frame"),
    "sphere_search": ("sup",),
    "sphere_sup": ("Sup",),
    "teachers": ("random_teacher", "teacher_dataset"),
    "storage": ("TrajectoryWriter",),
    "trajectory": ("Trajectory",),
    "repairing": ("Repair", "repair"),
    "flow": ("FlowResult", "flow_time", "log_spaced", "solve"),
    "config": ("Config", "load_config", "read_config", "resume"),
    "config_tables": (
        "DataConfig",
        "EnergyConfig",
        "FlowConfig",
        "InitialConfig",
        "MetricConfig",
        "ModelConfig",
        "OutputConfig",
        "SynchronizationConfig",
        "TeacherConfig",
    ),
    "analysis": (
        "CurveLength",
        "cloud_distance",
        "curve_length",
        "distance_matrix",
        "distances_between",
        "distances_to",
        "transport_cost",
    ),
    "rates": ("Rate", "fit_rate"),
    "neurons": ("Neurons", "effective_neurons"),
    "comparison": ("compare", "function_difference"),
    "report": ("write_report",),
    "web_page": ("figure_svg", "html_file", "html_page", "write_html"),
    "energy_statistics": ("energy_distance",),
    "sweep_config": ("SweepConfig", "load_sweep", "read_sweep"),
    "sweep": ("run_sweep",),
    "sweep_summary": ("Curve", "PowerLaw", "Sweep"),
    "sweep_figures": ("save_sweep_figures",),
    "sweep_page": ("write_sweep_report",),
    "export": ("export_trajectory",),
    "plotting": ("save_figures",),
    "animation": ("animate",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = sorted([*_HOMES, "open", "__version__"])


def __getattr__(name):
    if name == "open":  # pf.open("run.h5"); not a global here, so that the builtin keeps its name inside the package
        return import_module("particleflow.trajectory").Trajectory
    if name not in _HOMES:
        raise AttributeError(f"module 'particleflow' has no attribute {name!r}")
    return getattr(import_module(f"particleflow.{_HOMES[name]}"), name)


def __dir__():
    return __all__
