"""Shared by the gates and A/B: statistics of differences, comparison of learning, GitHub reports."""
