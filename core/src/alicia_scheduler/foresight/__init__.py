"""Seeing the future: what will run, why or why not, and what would run in a month.

Schedules are pure, so all of this asks the same objects that the kernel runs by, and starts
nothing. ``subject`` is an event ready to be asked, ``clockmarks`` what clock changes do to it;
``preview``, ``explanation``, ``lint`` and ``simulation`` each answer one question.
"""
