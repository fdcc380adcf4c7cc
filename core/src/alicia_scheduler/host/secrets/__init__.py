"""Secrets: named in configurations, read when they are used, kept out of everything that is
stored, logged, told or answered.

``vault`` reads the values, ``redaction`` takes them out of what leaves the host.
"""
