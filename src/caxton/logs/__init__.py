"""What agents say: cleaned, bounded, searched, followed, kept on disk. Knows no agent, only the names under which."""
