"""`tidegate plan`: what applying a file would lead to, before anybody does."""
