"""Bodies of requests and answers, sampled, for a sink that takes CloudEvents: off unless an address is set."""
