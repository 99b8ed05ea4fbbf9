"""Sphinx configuration. The build reads the installed package and nothing from the network."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import losscope

project = "losscope"
author = copyright = "The losscope developers"
version = release = losscope.__version__

extensions = ["myst_parser", "mathml", "reference_pages"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = [
    "_build",
    "_ext",
    "reference/generated/losses/ranges.md",
]  # the last is included elsewhere
# Decisions name files of the source tree; those links are for readers of the repository.
nitpicky = False

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"losscope {release}"
html_show_sphinx = False
html_copy_source = False
