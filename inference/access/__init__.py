"""Who may ask the service, for what, and how often: TLS, tokens, rights, rates."""
