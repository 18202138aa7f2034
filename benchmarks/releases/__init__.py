"""`python -m benchmarks.releases`: how fast bad releases are taken back on a real cluster, and that good ones stay."""
