"""Runs, data sets, pages and files that tests are made of, and programs that they start."""

from pathlib import Path

MADE = Path(__file__).parent
