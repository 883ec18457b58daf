"""One module per timer. Each calls one service that is safe to run twice at once and to miss."""
