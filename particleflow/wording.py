"""Tables of a configuration, and numbers, in words."""


def model(table, particles):
    """Return the table ``model`` of a configuration, and the number of particles, as text."""
    if table["kind"] == "particles":
        return f"{particles} particles in dimension {table['d']}"
    known = [table[name] for name in ("kind", "activation") if name in table]  # a model of the user's may have neither
    text = ", ".join([*known, f"{particles} particles"])
    return f"{text} of {table['s']} sub-neurons" if "s" in table else text


def energy(table):
    """Return the table ``energy`` of a configuration as text."""
    if "loss" in table:
        text = f"{table['loss']} loss + {table['strength']:g} × {table['regularizer']}"
        if penalty := table.get("synchronization"):
            text += f" + {penalty['strength']:g} × {penalty['term']} of the rows {penalty['rows']}"
        return f"{text}, {table['kernel']} kernel{_metric(table)}"
    given = table.get("parameters", {})
    if table["kernel"] == "pair":
        names, given = f"field {table['field']}, interaction {table['interaction']}", {"parameters": given}
    else:
        names = f"{table['kernel']} kernel"
    total = [f"{table['strength']:g} × total mass"] if "strength" in table else []
    return ", ".join([names, *(f"{name} {_parameter(value)}" for name, value in given.items()), *total]) + _metric(
        table
    )


def _metric(table):
    rates = table.get("metric")
    return f", metric of rates {rates['masses']:g} (masses), {rates['positions']:g} (positions)" if rates else ""


def _parameter(value):
    if not isinstance(value, list):
        return f"{value:g}"
    if len(value) > 4 or any(isinstance(item, list) for item in value):
        return f"({len(value)} of them)"
    return f"({', '.join(map(_parameter, value))})"


def number(value):
    """Return a number, or None for one that is not finite, as text."""
    return "not finite" if value is None else f"{value:.6g}"
