"""What happened, seen from outside: a plugin that leaves marks, and the real process beside it.

``site/`` is a plugin distribution as pip would lay it down. It is put on ``PYTHONPATH`` of the
processes under test and nowhere else, so no network and no installation is needed.
"""
