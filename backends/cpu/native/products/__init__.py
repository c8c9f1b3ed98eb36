"""Matrix products of exactly known shapes."""
