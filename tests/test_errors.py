"""Golden texts: what each bad input is told, word for word."""
