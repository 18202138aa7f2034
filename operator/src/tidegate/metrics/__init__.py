"""Where numbers come from: providers, what their series are called, and the fold into increments."""
