"""The documentation as tests see it: its pages, its blocks, and a stage to play them on."""
