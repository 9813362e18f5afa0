"""What is trained: ALI and its like for a level, GANs for the top, LDF made of them, and what LDF
is compared with."""
