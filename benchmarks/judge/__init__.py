"""The judge beside what others judge releases by, on the same simulated traffic."""
