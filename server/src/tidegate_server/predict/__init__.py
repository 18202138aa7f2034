"""What lies beside a model and makes it usable by people: a tokenizer, names of classes, and a self-test."""
