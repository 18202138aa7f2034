"""What people look at, made of the API's objects: the same for the terminal, the page and the Python client. Pure."""
