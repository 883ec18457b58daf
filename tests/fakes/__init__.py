"""Stand-ins that play what a real part cannot be made to do on demand."""
