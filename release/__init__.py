"""What a release is made of, and how: each part runs without GitHub, and the workflow only calls it."""
