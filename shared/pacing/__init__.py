"""Token buckets: `gcra` is the arithmetic, `source` the seam, `memory` and `redis` its sides."""
