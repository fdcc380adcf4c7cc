"""Makes the reference of the documentation of the code: ``make reference``.

Each module here makes pages of one kind; :mod:`.pages` knows all of them. The pages are committed,
and a test holds them against the code.
"""
