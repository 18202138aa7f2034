"""Who may ask for inference: API keys and JSON Web Tokens. Open to everybody until one of them is configured."""
