"""From trained models to claims: scores, runs that are kept, intervals over seeds, verdicts, tables
and pictures."""
