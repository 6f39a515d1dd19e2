"""How Sphinx builds the site: ``make docs``.

Pages with ``file_format: mystnb`` in their head are notebooks: each build runs them against the embedded sandbox, and an error ends it.
"""

import os
import sys
import tempfile
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

import voxops

sys.path.insert(0, str(Path(__file__).parent))

# Kernels of pages leave out the settings of whoever builds, and the warning that they speak to this machine unencrypted.
_profiles = tempfile.TemporaryDirectory(prefix="voxops-docs-")
_settings = Path(_profiles.name) / "profile_default" / "ipython_kernel_config.py"
_settings.parent.mkdir()
_settings.write_text("get_config().IPKernelApp.log_level = 40\n", "utf-8")
os.environ["IPYTHONDIR"] = _profiles.name

project = "voxops"
version = release = voxops.__version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "_reference"]
nitpicky = True

# Pages
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4  # the same anchors as on a forge, where the pages are read, too
nb_execution_mode = "force"
nb_execution_in_temp = True  # files that a page writes are gone after it
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_execution_show_tb = True
nb_merge_streams = True
# Displays are static copies: no page loads anything from another machine.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}

# Reference
autodoc_typehints = "none"  # the docstring's section Parameters has the types
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_param = napoleon_use_rtype = False  # types are words: no link to a class that is not documented
napoleon_custom_sections = [("Attributes", "params_style")]
toc_object_entries_show_parents = "hide"

# Look
html_theme = "shibuya"
html_title = "voxops"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_search_scorer = str(Path(__file__).parent / "_search.js")
html_show_sourcelink = False
html_copy_source = False
templates_path = ["_templates"]
copybutton_exclude = ".linenos, .gp, .go"
html_sidebars = {"**": ["sidebars/localtoc.html"]}
html_theme_options = {"accent_color": "blue", "show_ai_links": False, "globaltoc_expand_depth": 1}


class WithStatuses(SearchEnglish):
    """English, where a status of HTTP is a word, too: see ``_search.js``."""

    def word_filter(self, word: str) -> bool:
        """Return whether the index has a word."""
        return super().word_filter(word) or (len(word) == 3 and word.isdigit())


def setup(app: Sphinx) -> None:
    """Take the place of Sphinx's own English."""
    app.add_search_language(WithStatuses)
