"""Configuration of the site: what `.github/site/build` makes with Sphinx."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from sphinx.util.nodes import get_node_source

import emgmm

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # for gallery_settings
REPOSITORY = "https://github.com/emgmm/emgmm"
LIBRARIES = {
    "python": "https://docs.python.org/3",
    "numpy": "https://numpy.org/doc/stable",
    "scipy": "https://docs.scipy.org/doc/scipy",
    "sklearn": "https://scikit-learn.org/stable",
    "matplotlib": "https://matplotlib.org/stable",
    "pandas": "https://pandas.pydata.org/docs",
}
BUILT_IN = [
    *("False", "None", "True", "array-like", "bool", "callable", "dict", "float"),
    *("int", "iterable", "list", "str", "tuple"),
]
SKLEARN = {"accuracy_score"}  # labels in the first lines of docstrings of its methods
OTHERS = "|".join(LIBRARIES)


def inventory(name: str) -> Path | None:
    """The names that a library's site documents, or None if it cannot be reached."""
    path = HERE / "_build" / "inventories" / f"{name}.inv"
    try:
        with urlopen(f"{LIBRARIES[name]}/objects.inv", timeout=10) as answer:
            content = answer.read()
    except (URLError, TimeoutError):
        return path if path.exists() else None  # that of an earlier build
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


project = "emgmm"
author = "The emgmm developers"
copyright = author
version = release = emgmm.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

# Single backticks are code, and links where they name something of the API. Names of
# other libraries are links if these could be reached, and plain code if not.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:obj", r"(?s)(?!emgmm\.).*"), ("py:.*", rf"({OTHERS})\..*")]
intersphinx_mapping = {
    name: (f"{url}/", str(path))
    for name, url in LIBRARIES.items()
    if (path := inventory(name)) is not None
}

autodoc_typehints = "none"  # the docstrings have the types
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
numpydoc_class_members_toctree = False
numpydoc_show_inherited_class_members = {
    "emgmm.DegenerateComponentWarning": False,
    "emgmm.typing.SelectedParams": False,
}
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = {
    **{name: name for name in BUILT_IN},  # no links
    "Axes": "matplotlib.axes.Axes",
    "DataFrame": "pandas.DataFrame",
    "Figure": "matplotlib.figure.Figure",
    "RandomState": "numpy.random.RandomState",
    "ndarray": "numpy.ndarray",
    **{name: f"emgmm.{name}" for name in emgmm.__all__},
}

myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence"]
myst_heading_anchors = 4

sphinx_gallery_conf = {
    "examples_dirs": "../../examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "api/examples",
    "doc_module": ("emgmm",),
    "within_subsection_order": "gallery_settings.place_in_table",
    "image_srcset": ["2x"],
    "reset_argv": "gallery_settings.arguments",
    "show_memory": False,
    "write_computation_times": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "emgmm"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_theme_options = {
    "github_url": REPOSITORY,
    "navigation_with_keys": False,
    "show_toc_level": 2,
}


def plain_text(app, env, node, contnode):
    """The text of a link into another library, for when that was not reached."""
    inherited = "docstring of sklearn." in (get_node_source(node) or "")
    target = node.get("reftarget", "")
    library = "sklearn" if inherited or target in SKLEARN else target.partition(":")[0]
    return contnode if library in LIBRARIES else None


def setup(app):
    """Nothing; links into other libraries are plain text where none is known."""
    app.connect("missing-reference", plain_text, priority=900)
