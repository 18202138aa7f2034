"""What is sent to others by HTTP: bounded, signed, to addresses that may be called."""
