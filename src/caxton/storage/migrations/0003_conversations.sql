-- Conversations that follow one of FIPA's interaction protocols, as far as they outlived a commit.

CREATE TABLE conversations (
    workspace  TEXT NOT NULL,
    id         TEXT NOT NULL,
    protocol   TEXT NOT NULL,
    initiator  TEXT NOT NULL,
    parent     TEXT,              -- conversation within which it was begun
    state      TEXT NOT NULL,     -- JSON: participants with their states and deadlines
    messages   INTEGER NOT NULL,
    started_us INTEGER NOT NULL,  -- journal time, as the others
    last_us    INTEGER NOT NULL,
    wake_us    INTEGER NOT NULL,  -- when something happens although nobody says anything
    ended_us   INTEGER,
    outcome    TEXT NOT NULL,
    checksum   INTEGER,           -- CRC-32 of all the others; null: many were ended at once
    PRIMARY KEY (workspace, id)
) WITHOUT ROWID;
CREATE INDEX conversations_by_wake ON conversations (wake_us) WHERE ended_us IS NULL;
CREATE INDEX conversations_by_end ON conversations (ended_us) WHERE ended_us IS NOT NULL;
CREATE INDEX conversations_by_parent ON conversations (workspace, parent) WHERE parent IS NOT NULL;
CREATE INDEX conversations_by_start ON conversations (workspace, started_us, id);
CREATE INDEX conversations_open ON conversations (workspace, last_us) WHERE ended_us IS NULL;

-- What a workspace sets for itself; null: as the node.
CREATE TABLE workspace_settings (
    workspace         TEXT PRIMARY KEY,
    conversation_mode TEXT
) WITHOUT ROWID;
