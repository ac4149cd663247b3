"""The study: how it can be read, its runs, and what of it holds.

readings    how it can be understood where it leaves something open
reproduce   making its runs, each in a process of its own
results     finished runs as numbers, beside what was reported
claims      its statements, which `claims.toml` says, a table each
kinds       which check decides about a statement
check_*     the checks: by words, numbers, curves, predictions or the first layer
evidence    what the checks ask, and `finding` what they answer
audit       all of it: each statement by each reading
"""
