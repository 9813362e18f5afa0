"""The tape: Tensor, grad, the operations with their rules, and the check of the rules."""
