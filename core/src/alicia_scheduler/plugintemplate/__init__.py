"""A third party's first plugin: the questions of the template, and the project that it becomes.

The template is the folder ``plugin_template/`` of the repository, which comes with this package as
``project``. `copier <https://copier.readthedocs.io>`_ renders the same from the repository, and
can later bring a project up to a newer template.
"""

from alicia_scheduler.plugintemplate.questions import KINDS, LICENCES, Answers
from alicia_scheduler.plugintemplate.rendering import render, write

__all__ = ["KINDS", "LICENCES", "Answers", "render", "write"]
