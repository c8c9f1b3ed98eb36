"""What a primitive does when it is applied: eager, forward, batch, trace."""
