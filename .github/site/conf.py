"""Configuration of the site: what `.github/site/build` makes with Sphinx."""

from __future__ import annotations

import re
import sys
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from docutils import nodes
from numpydoc.xref import DEFAULT_LINKS
from sphinx import addnodes
from sphinx.util.nodes import get_node_source

import emgmm

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PICTURES = {".png", ".gif"}
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
AGENT = {"User-Agent": "Sphinx"}  # some sites refuse that of urllib
SKLEARN = {"accuracy_score"}  # labels in the first lines of its docstrings
OTHERS = "|".join(LIBRARIES)


def inventory(name: str) -> Path | None:
    """The names that a library's site documents, or None if it cannot be reached."""
    path = HERE / "_build" / "inventories" / f"{name}.inv"
    address = f"{LIBRARIES[name]}/objects.inv"
    try:
        with urlopen(Request(address, headers=AGENT), timeout=10) as answer:
            content = answer.read()
    except (OSError, HTTPException):
        content = b""
    if content.startswith(b"# Sphinx inventory"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path if path.exists() else None  # which may be that of an earlier build


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
autodoc_use_type_comments = False  # looks for classes in `__module__`, which re-exports
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
    **{name: name for name, link in DEFAULT_LINKS.items() if link[0] == ":"},  # no link
    "Axes": "matplotlib.axes.Axes",
    "DataFrame": "pandas.DataFrame",
    "Figure": "matplotlib.figure.Figure",
    "RandomState": "numpy.random.RandomState",
    "ndarray": "numpy.ndarray",
    **{name: f"emgmm.{name}" for name in emgmm.__all__},
}

myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence"]
myst_heading_anchors = 4
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

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
html_baseurl = "https://emgmm.github.io/emgmm/"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_sidebars = {"index": [], "changes": []}
html_theme_options = {
    "github_url": REPOSITORY,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
}


def link_to_repository(docname: str, link: re.Match[str]) -> str:
    """A link of a page, to the repository's site if it is to a file outside of this."""
    path, hash_, anchor = link[1].partition("#")
    target = (HERE / docname).parent.joinpath(path).resolve()
    if target.is_relative_to(HERE) or target.suffix in PICTURES or not target.exists():
        return link[0]
    file = target.relative_to(ROOT).as_posix()
    if target.match("examples/plot_*.py"):
        return f"](/gallery/{target.stem}.rst)"
    return f"]({REPOSITORY}/blob/main/{file}{hash_}{anchor})"


def read_page(app, docname, content):
    """The pages link to files of the repository as they do on its own site."""
    content[0] = re.sub(
        r"\]\((\.\./[^)\s]*)\)", partial(link_to_repository, docname), content[0]
    )


def link_names(app, doctree):
    """Code that is a public name, or an example's file, links to its page."""
    for code in list(doctree.findall(nodes.literal)):
        text = code.astext()
        name = text.partition("(")[0]
        if isinstance(code.parent, (nodes.reference, addnodes.pending_xref)):
            continue
        if is_public(name):
            link_to(code, refdomain="py", reftype="obj", reftarget=f"emgmm.{name}")
        elif re.fullmatch(r"plot_\w+\.py", text):
            target = f"/gallery/{text.removesuffix('.py')}"
            link_to(code, refdomain="std", reftype="doc", reftarget=target)


def is_public(name: str) -> bool:
    """Whether a name is that of a public class, of a method of one, or a function."""
    owner, _, method = name.partition(".")
    if owner not in emgmm.__all__:
        return False
    return not method or callable(getattr(getattr(emgmm, owner), method, None))


def link_to(code: nodes.literal, **target: str) -> None:
    """Put a link, which Sphinx resolves later, around a piece of code."""
    link = addnodes.pending_xref("", refexplicit=True, refwarn=True, **target)
    code.replace_self(link)
    link += code


def end_snippets(app, doctree):
    """Snippets end with their last line, not with the empty one that doctest needs."""
    for block in doctree.findall(nodes.literal_block):
        block.rawsource = block.rawsource.rstrip()
        block[:] = [nodes.Text(block.astext().rstrip())]


def plain_text(app, env, node, contnode):
    """The text of a link in what scikit-learn says of the methods that it adds."""
    inherited = "docstring of sklearn." in (get_node_source(node) or "")
    return contnode if inherited or node["reftarget"] in SKLEARN else None


def setup(app):
    """What is done to pages: links, the ends of snippets."""
    app.connect("source-read", read_page)
    app.connect("doctree-read", link_names)
    app.connect("doctree-read", end_snippets)
    app.connect("missing-reference", plain_text, priority=900)
