"""What should happen next, and why. Pure: an Observation goes in, a Decision comes out."""
