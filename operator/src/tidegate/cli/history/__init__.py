"""`tidegate history`: the revisions that an undo can go back to, and how rollouts ended."""
