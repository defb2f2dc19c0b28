"""What a user pays for proof, as ratios against the limit measured in the same run."""
