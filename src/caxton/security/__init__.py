"""Who somebody is, how they prove it, and what they may do. The policy is a pure function; keys and tokens live here."""
