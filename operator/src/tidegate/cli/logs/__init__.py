"""`tidegate logs`: what the pods of a model write, stable and candidate apart."""
