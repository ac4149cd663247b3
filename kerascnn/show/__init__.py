"""Numbers and arrays to figures and tables; nothing here computes what it shows."""
