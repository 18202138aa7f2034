"""Everything that measures: benchmarks of the judge, of releases and of the model server, and the server's trials."""
