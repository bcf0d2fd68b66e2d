"""What all benchmarks share: a record, a clock, data sets, tables and processes."""
