"""What the gates and A/B share: statistics of differences, learning compared, reports to GitHub."""
