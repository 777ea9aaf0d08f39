"""The house: a room imports lower levels only, nothing goes in circles, and rooms stay small."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "particleflow"
LEVELS = (
    ("errors", "jit", "lanes", "prefetching", "threads", "toml", "wording"),
    ("hdf5", "panel_products", "stored_blocks", "values"),
    (
        "measure",
        "journal",
        "assignment",
        "costs",
        "activations",
        "arc_cosine",
        "losses",
        "metrics",
        "notebook",
        "regularizers",
        "datasets",
        "entropy",
        "integrators",
        "permutation_search",
        "sphere_sup",
        "spherical_covering",
        "transport_programs",
    ),
    ("gaussian_kernels", "reference", "sphere_search", "transport"),
    (
        "models",
        "kernels",
        "order_parameters",
        "energy_statistics",
        "pair_functions",
        "pair_kernels",
        "penalties",
        "synchronization",
        "teachers",
    ),
    ("built_in_kernels", "energy"),
    ("observers", "plot_style"),
    ("certificate", "frank_wolfe", "hypotheses", "interruption", "trajectory", "web_page"),
    ("births", "storage"),
    ("methods",),
    (
        "analysis",
        "bibliography",
        "checkpoint",
        "checks",
        "config_text",
        "flow",
        "formulas",
        "neurons",
        "point_figures",
        "polishing",
        "rates",
        "repairing",
    ),
    ("config_tables",),
    ("config", "plotting", "animation", "export", "summary", "synchronization_figures", "watching"),
    ("comparison", "overlays", "player", "sweep_config", "sweep_runs"),
    ("dask_workers", "local_workers", "report", "sweep_index"),
    ("sweep_summary",),
    ("sweep", "sweep_text"),
    ("sweep_figures",),
    ("sweep_page",),
    ("cli_sweeps",),
    ("cli",),
)
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
FILES = sorted(PACKAGE.rglob("*.py"))
USERS = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "validation").rglob("*.py")])
MOST_LINES = 450
PEERS = {"h5py", "ot", "scipy", "torch", "threadpoolctl"}  # what benchmarks compare with


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module):
    """Return the room of a module: the second part of its name, "" for the package itself."""
    return (*module.split("."), "")[1]


def imports(path, *, lazy=True):
    """Yield (module, names) of every import; without `lazy` only of those that run when the module is imported."""

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from ((alias.name, ()) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path.name}, line {child.lineno}: a relative import"
                yield child.module, tuple(alias.name for alias in child.names)
            elif lazy or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield from visit(child)

    return list(visit(ast.parse(path.read_text(encoding="utf-8"))))


def inner_imports(path, **options):
    """Return the modules of the package that a file imports."""
    modules = {module_name(file) for file in FILES}
    found = set()
    for module, names in imports(path, **options):
        if module.partition(".")[0] == "particleflow":
            inner = {f"{module}.{name}" for name in names} & modules
            found |= inner or {module}
    return found


def test_every_room_has_a_level():
    rooms = {room_of(module_name(path)) for path in FILES} - {""}
    assert rooms == set(LEVEL_OF)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_rooms_import_lower_levels_only(path):
    room = room_of(module_name(path))
    if room == "":  # names rooms, imports none
        assert inner_imports(path) == set()
        return
    eager = {room_of(module) for module in inner_imports(path, lazy=False)} - {"", room}
    lazy = {room_of(module) for module in inner_imports(path)} - {"", room}
    same = LEVEL_OF[room]
    beside = {("animation", "plotting")}  # a movie is made of figures
    assert {other for other in eager if LEVEL_OF[other] >= same and (room, other) not in beside} == set()
    assert {other for other in lazy if LEVEL_OF[other] > same} == set()


def test_nothing_is_imported_in_circles():
    graph = {module_name(path): inner_imports(path, lazy=False) - {"particleflow"} for path in FILES}
    assert len(list(TopologicalSorter(graph).static_order())) >= len(FILES)  # raises CycleError


def test_the_reference_does_not_know_the_flow():
    """It is another road to the same answer: not even through other rooms does it import what it is compared with."""
    files = {module_name(path): path for path in FILES}
    waiting, known = [name for name in files if room_of(name) == "reference"], set()
    assert len(waiting) > 1
    while waiting:
        known.add(module := waiting.pop())
        waiting += inner_imports(files[module]) - known - {"particleflow"}
    assert {room_of(module) for module in known} & {"flow", "integrators", "energy", "models", "methods"} == set()


def test_only_transport_imports_ot_and_only_where_it_is_used():
    def packages(path, **options):
        return {module.partition(".")[0] for module, _ in imports(path, **options)}

    assert [module_name(path) for path in FILES if "ot" in packages(path)] == ["particleflow.transport"]
    assert "ot" not in packages(PACKAGE / "transport.py", lazy=False)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_star_imports_and_no_large_rooms(path):
    assert all("*" not in names for _, names in imports(path))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", USERS, ids=lambda path: path.name)
def test_examples_and_validation_use_the_public_names_only(path):
    allowed = {"particleflow", "numpy", "numba", "matplotlib", "validation", *sys.stdlib_module_names}
    for module, names in imports(path):
        package = module.partition(".")[0]
        assert package in allowed or (package in PEERS and "benchmarks" in path.parts), module
        assert package != "particleflow" or (module == "particleflow" and not names), module
    tree = ast.parse(path.read_text(encoding="utf-8"))
    aliases = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "particleflow"
    }
    assert aliases <= {"pf"}
    private = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
    assert {name for name in private if not name.endswith("__")} == set()
