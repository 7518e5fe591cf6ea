"""Engines run the graph: images ``[N, S, S, 3]`` in, ``{end point: array}`` out."""
