"""Benchmarks: whole processes, interleaved with a peer's in the same run, as ratios."""
