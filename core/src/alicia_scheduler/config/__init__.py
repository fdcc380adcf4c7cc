"""Configuration: TOML to model, with the place of every mistake. Imports only the API.

``document`` reads a file and knows the line of every key, ``load`` takes its tables apart,
``settings`` is the host's own table, ``events`` makes definitions, and ``convert`` turns raw
tables into the classes of plugins.
"""
