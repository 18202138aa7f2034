"""Equal models under users who stay with one revision: how often the judge blames the candidate for its users."""
