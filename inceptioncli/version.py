"""The versions of the program and of its results, each said once."""

__version__ = "0.1.0"

# Part of a run's identity, as the program's version is not: an output is continued by any program
# that would give the same results. To be raised when the same options and images give another
# value or another record than before: by decoding, resizing, the graph or what is made of it.
RESULTS_VERSION = 1
