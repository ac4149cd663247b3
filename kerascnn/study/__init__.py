"""The study: how it can be read, its runs, and what of it holds."""
