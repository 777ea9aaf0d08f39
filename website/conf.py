"""Sphinx's configuration of the site."""

import particleflow

project, author = "particleflow", "The particleflow developers"
copyright = author
release = particleflow.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "website.formulas",
    "website.docstrings",
    "website.scripts",
]
exclude_patterns = ["static"]

# Markdown as code hosts read it
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

smartquotes_action = "D"  # dashes alone: ' is a prime here

# the reference
default_role = "py:obj"
add_module_names = False
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"

# the look; nothing is loaded from elsewhere
html_theme = "furo"
html_title = "particleflow"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
pygments_style, pygments_dark_style = "friendly", "github-dark"
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {
        "color-brand-primary": "#0b5c8c",
        "color-brand-content": "#0067a3",
        "color-brand-visited": "#0067a3",
    },
    "dark_css_variables": {
        "color-brand-primary": "#6bb7ea",
        "color-brand-content": "#6bb7ea",
        "color-brand-visited": "#6bb7ea",
    },
}
