"""What happens to a release when its parts are killed, frozen, slow or out of space, in any phase."""
