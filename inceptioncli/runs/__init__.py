"""Runs: inputs that have no record yet go through the pipeline into an output.

What `classify`, `features` and `train` call, and what a program can call in their place: a run is
iterated, gives what happens, and ends with a summary.
"""
