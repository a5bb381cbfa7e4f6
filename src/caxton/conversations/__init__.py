"""The bus as referee: follows conversations, says who waits for whom and what went wrong."""
