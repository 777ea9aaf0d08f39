"""What to cite for a flow: BibTeX of the theory and of the methods that were really used."""

_THEORY = ("chizat2018", "mei2018", "lazarus2022")
_METHODS = {
    "euler": ("hairer1993",),
    "heun": ("hairer1993",),
    "rk4": ("hairer1993",),
    "bs23": ("bogacki1989", "gustafsson1991"),
    "dopri5": ("dormand1980", "gustafsson1991"),
    "mirror": ("chizat2022sparse",),
    "langevin": ("chizat2022",),
    "sgd": ("robbins1951",),
    "adam": ("kingma2015",),
}
_OBSERVED = {"sliding": ("filippov1988",), "entropy": ("kozachenko1987",), "overlap_1": ("saad1995",)}
_ENTRIES = {
    "chizat2018": (
        "inproceedings",
        {
            "author": "Chizat, L{\\'e}na{\\\"i}c and Bach, Francis",
            "title": "On the Global Convergence of Gradient Descent for Over-parameterized Models "
            "using Optimal Transport",
            "booktitle": "Advances in Neural Information Processing Systems",
            "volume": "31",
            "year": "2018",
        },
    ),
    "mei2018": (
        "article",
        {
            "author": "Mei, Song and Montanari, Andrea and Nguyen, Phan-Minh",
            "title": "A mean field view of the landscape of two-layer neural networks",
            "journal": "Proceedings of the National Academy of Sciences",
            "volume": "115",
            "number": "33",
            "pages": "E7665--E7671",
            "year": "2018",
        },
    ),
    "chizat2022sparse": (
        "article",
        {
            "author": "Chizat, L{\\'e}na{\\\"i}c",
            "title": "Sparse optimization on measures with over-parameterized gradient descent",
            "journal": "Mathematical Programming",
            "volume": "194",
            "pages": "487--532",
            "year": "2022",
        },
    ),
    "lazarus2022": (
        "techreport",
        {"author": "Lazarus, R.", "title": "Rapport de stage", "institution": "New York University", "year": "2022"},
    ),
    "hairer1993": (
        "book",
        {
            "author": "Hairer, Ernst and N{\\o}rsett, Syvert P. and Wanner, Gerhard",
            "title": "Solving Ordinary Differential Equations {I}",
            "edition": "2",
            "publisher": "Springer",
            "year": "1993",
        },
    ),
    "bogacki1989": (
        "article",
        {
            "author": "Bogacki, Przemys{\\l}aw and Shampine, Lawrence F.",
            "title": "A 3(2) pair of {Runge--Kutta} formulas",
            "journal": "Applied Mathematics Letters",
            "volume": "2",
            "number": "4",
            "pages": "321--325",
            "year": "1989",
        },
    ),
    "dormand1980": (
        "article",
        {
            "author": "Dormand, John R. and Prince, Peter J.",
            "title": "A family of embedded {Runge--Kutta} formulae",
            "journal": "Journal of Computational and Applied Mathematics",
            "volume": "6",
            "number": "1",
            "pages": "19--26",
            "year": "1980",
        },
    ),
    "gustafsson1991": (
        "article",
        {
            "author": "Gustafsson, Kjell",
            "title": "Control theoretic techniques for stepsize selection in explicit {Runge--Kutta} methods",
            "journal": "ACM Transactions on Mathematical Software",
            "volume": "17",
            "number": "4",
            "pages": "533--554",
            "year": "1991",
        },
    ),
    "chizat2022": (
        "article",
        {
            "author": "Chizat, L{\\'e}na{\\\"i}c",
            "title": "Mean-Field {Langevin} Dynamics: Exponential Convergence and Annealing",
            "journal": "Transactions on Machine Learning Research",
            "year": "2022",
        },
    ),
    "robbins1951": (
        "article",
        {
            "author": "Robbins, Herbert and Monro, Sutton",
            "title": "A Stochastic Approximation Method",
            "journal": "The Annals of Mathematical Statistics",
            "volume": "22",
            "number": "3",
            "pages": "400--407",
            "year": "1951",
        },
    ),
    "kingma2015": (
        "inproceedings",
        {
            "author": "Kingma, Diederik P. and Ba, Jimmy",
            "title": "Adam: A Method for Stochastic Optimization",
            "booktitle": "International Conference on Learning Representations",
            "year": "2015",
        },
    ),
    "filippov1988": (
        "book",
        {
            "author": "Filippov, Aleksei F.",
            "title": "Differential Equations with Discontinuous Righthand Sides",
            "publisher": "Kluwer",
            "year": "1988",
        },
    ),
    "kozachenko1987": (
        "article",
        {
            "author": "Kozachenko, L. F. and Leonenko, N. N.",
            "title": "Sample Estimate of the Entropy of a Random Vector",
            "journal": "Problems of Information Transmission",
            "volume": "23",
            "number": "2",
            "pages": "95--101",
            "year": "1987",
        },
    ),
    "saad1995": (
        "article",
        {
            "author": "Saad, David and Solla, Sara A.",
            "title": "On-line learning in soft committee machines",
            "journal": "Physical Review E",
            "volume": "52",
            "number": "4",
            "pages": "4225--4243",
            "year": "1995",
        },
    ),
    "bach2017": (
        "article",
        {
            "author": "Bach, Francis",
            "title": "Breaking the Curse of Dimensionality with Convex Neural Networks",
            "journal": "Journal of Machine Learning Research",
            "volume": "18",
            "number": "19",
            "pages": "1--53",
            "year": "2017",
        },
    ),
    "ambrosio2008": (
        "book",
        {
            "author": "Ambrosio, Luigi and Gigli, Nicola and Savar{\\'e}, Giuseppe",
            "title": "Gradient Flows in Metric Spaces and in the Space of Probability Measures",
            "edition": "2",
            "publisher": 'Birkh{\\"a}user',
            "year": "2008",
        },
    ),
}


def citations(trajectory, *, certified=False, measured=False):
    """Return the keys of what a stored flow rests on.

    Parameters
    ----------
    trajectory : Trajectory
        The flow.
    certified, measured : bool
        Whether its duality gap, its length in Wasserstein space, are told as well.

    Returns
    -------
    list of str
    """
    keys = [] if trajectory.layout.names == ("x",) else list(_THEORY)
    keys += _METHODS.get(trajectory.config.get("flow", {}).get("method"), ())
    for name, used in _OBSERVED.items():
        series = trajectory.observables.get(name, ())
        keys += used if len(series) and any(series) else ()
    return keys + ["bach2017"] * certified + ["ambrosio2008"] * measured


def bibtex(keys):
    """Return the entries of some keys as BibTeX, each once, in the order given."""
    entries = []
    for key in dict.fromkeys(keys):
        kind, fields = _ENTRIES[key]
        lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
        entries.append(f"@{kind}{{{key},\n{lines}\n}}")
    return "\n\n".join(entries)
