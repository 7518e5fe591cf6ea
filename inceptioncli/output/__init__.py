"""Output: records and features, to a stream or into files that outlive any crash."""
