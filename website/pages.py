"""Pages of the site that are not in docs/: made of the README, the examples, the command line and the public names."""

import argparse
import ast
import re
from pathlib import Path, PurePosixPath

from sphinx.pycode import ModuleAnalyzer

import particleflow
from particleflow import cli

ROOT = Path(__file__).resolve().parent.parent
TOPICS = {
    "measures": ("Measures", "Clouds of particles and the laws they are drawn from.", ("measure",)),
    "networks": (
        "Networks and data",
        "Models, their activations, losses and regularisers; data from files, arrays and teachers.",
        (
            "models",
            "models.two_layer",
            "models.three_layer",
            "models.hard_synchronized",
            "activations",
            "losses",
            "regularizers",
            "datasets",
            "teachers",
            "order_parameters",
        ),
    ),
    "energies": (
        "Energies and kernels",
        "What a flow descends: the energies, their kernels, penalties and metrics.",
        ("energy", "kernels", "pair_kernels", "built_in_kernels", "penalties", "metrics"),
    ),
    "flow": (
        "The flow",
        "Solving it: methods, noise, births, observers and stop rules.",
        (
            "flow",
            "integrators.tableaus",
            "integrators.step_size",
            "integrators.runge_kutta",
            "integrators.langevin",
            "entropy",
            "births",
            "observers",
        ),
    ),
    "minimum": (
        "The global minimum",
        "Certificates, hypotheses, polishing, and minima found by no flow.",
        (
            "certificate",
            "frank_wolfe",
            "hypotheses",
            "polishing",
            "sphere_search",
            "sphere_sup",
            "reference.conditional_gradient",
            "reference.activation_patterns",
            "reference.circle_grid",
        ),
    ),
    "transport": (
        "Transport and synchronisation",
        "Exact Wasserstein distances, and the synchronisation of layers.",
        ("transport", "energy_statistics", "synchronization", "synchronization_figures"),
    ),
    "files": (
        "Trajectories",
        "Stored flows: written, read, converted.",
        ("trajectory", "storage", "export", "repairing"),
    ),
    "analysis": (
        "Analysis and figures",
        "Distances along flows, rates, comparisons; figures, movies and web pages.",
        ("analysis", "rates", "neurons", "comparison", "plotting", "animation", "report", "web_page"),
    ),
    "configuration": ("Configurations", "Runs as TOML files, and their tables.", ("config", "config_tables")),
    "sweeps": (
        "Sweeps",
        "Many runs of one configuration, and their limits.",
        ("sweep_config", "sweep", "sweep_summary", "sweep_figures", "sweep_page"),
    ),
    "errors": ("Errors", "What particleflow raises: one sentence each.", ("errors",)),
}
"""The pages of the reference: title, what is there, and the rooms whose public names it lists."""

NAVIGATION = {
    "Guide": ("choosing", "configuration", "command_line", "trajectory", "analysis", "sweeps", "kernels", "extending"),
    "Gallery": ("gallery", "examples/index"),
    "Mathematics": ("mathematics", "global_minimum", "validation", "accuracy", "performance", "numerical_study"),
    "Reference": tuple(f"reference/{page}" for page in ("index", *TOPICS)),
    "Project": ("architecture", "data", "changes", "licence"),
}
_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changes.md",
    "data/README.md": "data.md",
    "examples": "examples/index.md",
    "LICENSE": "licence.md",
    "CITATION.cff": "licence.md",
}


def site_path(target, origin):
    """Return where a link to a file of the repository leads on the site, for the page made of `origin`."""
    path = _normal(PurePosixPath(origin).parent / target)
    page, here = _page(path), _page(origin)
    if page is None:
        raise LookupError(f"{origin}: no page of the site is made of {target!r}")
    depth = len(PurePosixPath(here).parts) - 1
    return "../" * depth + page


def _page(path):
    """Return the page that is made of a file of the repository, or None."""
    first, _, rest = path.partition("/")
    if path in _PAGES:
        return _PAGES[path]
    if first == "docs":
        return rest
    if first == "examples":
        return f"examples/{rest.replace('.', '_')}.md"
    return None


def _normal(path):
    parts = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def generated():
    """Return the pages, a dict of path → (source, the file that its links start from; None for links between pages)."""
    start, configuration = _readme()
    pages = {
        "index.md": (start + _navigation(), "README.md"),
        "configuration.md": (configuration, "README.md"),
        "changes.md": (_read("CHANGELOG.md"), "CHANGELOG.md"),
        "data.md": (_read("data/README.md"), "data/README.md"),
        "licence.md": (_licence(), None),
        "command_line.md": (_command_line(), None),
    }
    examples = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".toml"))
    pages["examples/index.md"] = (_examples(examples), "examples/README.md")
    for path in examples:
        origin = f"examples/{path.name}"
        pages[_page(origin)] = (_example(path), origin)
    for path, content in _reference().items():
        pages[path] = (content, None)
    return pages


def _read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def _readme():
    """Return the README as two pages: its chapter on the configuration, and all the others."""
    before, after = _read("README.md").split("## The configuration\n")
    chapter, rest = after.split("\n## ", 1)
    return f"{before}## {rest}", f"# The configuration\n{chapter}"


def _navigation():
    trees = (
        "\n".join([f"```{{toctree}}\n:hidden:\n:caption: {title}\n", *pages, "```\n"])
        for title, pages in NAVIGATION.items()
    )
    return "\n" + "\n".join(trees)


def _licence():
    citation = f"To cite particleflow (`CITATION.cff`):\n\n```yaml\n{_read('CITATION.cff')}```\n"
    return f"# Licence and citation\n\n{citation}\nThe licence:\n\n```text\n{_read('LICENSE')}```\n"


# --- the examples -----------------------------------------------------------------------------------------------------


def _told(path):
    """Return what an example says of itself, and the rest of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        docstring = ast.parse(text).body[0]
        return ast.literal_eval(docstring.value), "\n".join(text.splitlines()[docstring.end_lineno :])
    lines = text.splitlines()
    count = next(index for index, line in enumerate(lines) if not line.startswith("#"))
    return " ".join(line.lstrip("# ") for line in lines[:count]), "\n".join(lines[count:])


def _examples(paths):
    lines = []
    for path in paths:
        first = _told(path)[0].strip().split("\n\n")[0].replace("\n", " ")
        lines.append(f"- [`{path.name}`]({path.name}): {first}")
    return f"# All examples\n\n{chr(10).join(lines)}\n\n```{{toctree}}\n:hidden:\n:glob:\n\n*\n```\n"


def _example(path):
    text, code = _told(path)
    language = "python" if path.suffix == ".py" else "toml"
    picture = (
        f"![What it draws](../docs/images/{path.stem}.png)\n\n" if path.suffix == ".py" and _pictured(path) else ""
    )
    return f"# `{path.name}`\n\n{text.strip()}\n\n{picture}```{language}\n{code.strip()}\n```\n"


def _pictured(path):
    return (ROOT / "docs" / "images" / f"{path.stem}.png").is_file()


# --- the command line -------------------------------------------------------------------------------------------------


def _command_line():
    parser = cli._parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    exit_codes = cli.__doc__.split("\n\n")[1].partition(" Rooms are imported")[0].replace("\n", " ")
    parts = [f"# Command line\n\n{parser.description}\n\n{exit_codes}\n"]
    for name, command in commands.choices.items():
        usage = " ".join(command.format_usage().removeprefix("usage: ").split())
        rows = [
            f"| {_names(action)} | {_escaped(action.help)} |" for action in command._actions if action.dest != "help"
        ]
        table = "\n".join(["| argument | |", "|---|---|", *rows])
        parts.append(f"## {name}\n\n{command.description}\n\n```text\n{usage}\n```\n\n{table}\n")
    return "\n".join(parts)


def _names(action):
    value = "" if action.nargs == 0 else f" {action.metavar or '|'.join(action.choices)}"
    names = ", ".join(action.option_strings) or action.metavar
    return f"`{names}{value if action.option_strings else ''}`".replace("|", "\\|")


def _escaped(text):
    return re.sub(r"(--[\w-]+)", r"`\1`", text.replace("|", "\\|"))


# --- the reference ----------------------------------------------------------------------------------------------------


def reference():
    """Return the pages of the reference and the public names on each."""
    rooms = particleflow._ROOMS
    placed = [room for _, _, parts in TOPICS.values() for room in parts]
    if missing := sorted(set(rooms) ^ set(placed)):
        raise LookupError(f"TOPICS in website/pages.py and the public names disagree about {', '.join(missing)}")
    return {f"reference/{page}": [n for room in parts for n in rooms[room]] for page, (_, _, parts) in TOPICS.items()}


def _reference():
    pages, index = {}, ["# Reference", "All public names; `import particleflow as pf` gives them."]
    for page, names in reference().items():
        title, text, _ = TOPICS[page.partition("/")[2]]
        entries = [_entry(name) for name in names]
        pages[f"{page}.rst"] = "\n".join([title, "=" * len(title), "", text, "", *entries])
        index.append(
            f"## [{title}]({page.partition('/')[2]}.rst)\n\n{text}\n\n" + ", ".join(f"`pf.{n}`" for n in names)
        )
    pages["reference/index.md"] = "\n\n".join(index) + "\n"
    return pages


def _entry(name):
    """Return the directive of autodoc for a public name."""
    thing = getattr(particleflow, name)
    if isinstance(thing, type):
        return f".. autoclass:: particleflow.{name}\n   :members:\n"
    if callable(thing):
        return f".. autofunction:: particleflow.{name}\n"
    texts = ModuleAnalyzer.for_module(f"particleflow.{particleflow._HOMES[name]}").find_attr_docs()
    keys = ", ".join(f"``{key}``" for key in thing)
    return (
        f".. py:data:: {name}\n   :module: particleflow\n\n   {' '.join(texts['', name]).strip()} There are {keys}.\n"
    )
