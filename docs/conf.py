"""Sphinx's settings for the documentation site; docs/build.py runs it."""

from __future__ import annotations

from labkit import __version__

project = "labkit"
author = "The labkit authors"
release = __version__
root_doc = "index"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "numpydoc"]

# Markdown and notebooks. Notebooks are stored executed, and are shown as they are stored.
nb_execution_mode = "off"
nb_mime_priority_overrides = [
    ("html", "text/html", 0),
    ("html", "image/png", 1),
    ("html", "image/svg+xml", 2),
    ("html", "text/plain", 3),
]
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
suppress_warnings = [
    # an output that has a picture or a table as well is shown as that
    "mystnb.unknown_mime_type",
]

# The Python API
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
toc_object_entries = False

# Two dashes before a flag stay two dashes.
smartquotes = False

# Nothing is fetched, neither by the build nor by a reader's browser.
html_theme = "furo"
html_title = "labkit"
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
