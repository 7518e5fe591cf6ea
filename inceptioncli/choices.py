"""What users choose among, and what they get if they don't."""

from __future__ import annotations

# Of results: on standard output, as they come; in files, which can be continued.
STREAM_FORMATS = ("text", "jsonl", "json", "csv")
FILE_FORMATS = ("jsonl", "csv", "parquet")
FORMATS = tuple(dict.fromkeys((*STREAM_FORMATS, *FILE_FORMATS)))

# Of features: over the spatial positions, and of each number.
POOLS = ("none", "avg", "max")
DTYPES = ("float32", "float16")

# An image that takes a worker longer is a failure.
TIMEOUT_S = 30.0
