"""Templates in the texts of an action's configuration: Jinja2's language in a sandbox of bounded
work. Nothing here imports Jinja before a template is met.

``words`` says what a template may name and use, ``meter`` counts its work, ``sandbox`` is Jinja's
environment, ``template`` compiles and renders one text, ``names`` gathers what it sees.
"""
