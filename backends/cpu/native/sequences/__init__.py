"""Recurrent layers and other walks along whole sequences, and their adjoints."""
