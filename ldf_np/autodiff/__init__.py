"""The tape: Tensor and grad, the operations with their rules, and the check that the rules are
right."""
