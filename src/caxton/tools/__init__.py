"""Tools that agents call: where they come from, who may call which, and what is done before and after each call."""
