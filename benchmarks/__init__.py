"""The suite that compares backends and other frameworks in one run."""
