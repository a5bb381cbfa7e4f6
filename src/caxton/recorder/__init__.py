"""What happened: a record of each message's life in a ring on disk, and the bodies of the conversations that fit."""
