"""How arrays live and run: one package a backend, found by entry point."""
