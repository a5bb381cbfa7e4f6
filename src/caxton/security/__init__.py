"""Who somebody is, how they prove it, what they may do. The policy is a pure function; keys and tokens live here."""
