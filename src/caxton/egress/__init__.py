"""The only way out of the node for what tools and guests ask of other machines: checked, bounded, counted."""
