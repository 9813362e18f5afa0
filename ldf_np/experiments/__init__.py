"""From trained models to claims: runs that are kept, scores, intervals over seeds, verdicts, tables
and pictures."""
