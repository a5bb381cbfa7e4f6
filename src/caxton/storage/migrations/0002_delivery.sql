-- Priorities, lifetimes, repeated posts, dead letters that can be looked at and repeated, rows that tell when they rot.

ALTER TABLE messages ADD COLUMN priority INTEGER NOT NULL DEFAULT 4;
ALTER TABLE messages ADD COLUMN expires_us INTEGER NOT NULL DEFAULT 0;  -- wall time; 0: never
ALTER TABLE messages ADD COLUMN checksum INTEGER;  -- storage.checksum; null: written before there were any

ALTER TABLE dead_letters ADD COLUMN trap TEXT;  -- kind of the crash on the last attempt
ALTER TABLE dead_letters ADD COLUMN functions TEXT NOT NULL DEFAULT '[]';  -- JSON: functions of the guest, innermost first
ALTER TABLE dead_letters ADD COLUMN checksum INTEGER;
ALTER TABLE dead_letters ADD COLUMN replayed_us INTEGER;  -- null: not replayed
ALTER TABLE dead_letters ADD COLUMN replayed_by TEXT;  -- principal
ALTER TABLE dead_letters ADD COLUMN replayed_seq INTEGER;  -- the message that it became
ALTER TABLE dead_letters ADD COLUMN trace_id TEXT;
ALTER TABLE dead_letters ADD COLUMN body_bytes INTEGER NOT NULL DEFAULT 0;  -- of the body as it died; a replay empties it
UPDATE dead_letters SET body_bytes = length(body),
    reason = CASE reason WHEN 'the agent was removed' THEN 'removed' ELSE 'failed' END;
CREATE INDEX dead_letters_waiting ON dead_letters (replayed_us, body_bytes) WHERE replayed_us IS NULL;
CREATE INDEX dead_letters_replayed ON dead_letters (replayed_us) WHERE replayed_us IS NOT NULL;
CREATE INDEX dead_letters_by_receiver ON dead_letters (workspace, receiver, seq);
CREATE INDEX dead_letters_by_message ON dead_letters (workspace, message_id);
CREATE INDEX dead_letters_by_age ON dead_letters (dead_us);

-- What was let go, counted in the transaction that did it; the last thousand times.
CREATE TABLE dead_letter_purges (
    id        INTEGER PRIMARY KEY,
    mark      INTEGER NOT NULL UNIQUE,  -- by which the one who purged finds the line again
    purged_us INTEGER NOT NULL,
    purged_by TEXT NOT NULL,
    letters   INTEGER NOT NULL,
    waiting   INTEGER NOT NULL,         -- of those letters: not replayed
    bytes     INTEGER NOT NULL,         -- bodies of the waiting ones
    last_seq  INTEGER NOT NULL          -- the newest of the letters: its number is not given again
);

ALTER TABLE kv ADD COLUMN checksum INTEGER;

-- Posts whose sender gave the message an id, so that a repeated post is known again.
CREATE TABLE receipts (
    workspace       TEXT NOT NULL,
    sender          TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    digest          BLOB NOT NULL,        -- of the message as it was posted
    conversation_id TEXT NOT NULL,
    accepted_us     INTEGER NOT NULL,     -- journal time: only runs while a node does, never backwards
    PRIMARY KEY (workspace, sender, message_id)
) WITHOUT ROWID;
CREATE INDEX receipts_by_age ON receipts (accepted_us);

-- Every name that was ever deployed: mail for it waits even while no agent has it.
CREATE TABLE names (
    workspace TEXT NOT NULL,
    name      TEXT NOT NULL,
    PRIMARY KEY (workspace, name)
) WITHOUT ROWID;
INSERT INTO names (workspace, name) SELECT workspace, name FROM agents;

-- Rows whose checksum does not fit any more: never delivered, kept for whoever looks into it.
CREATE TABLE quarantine (
    id        INTEGER PRIMARY KEY,
    found_us  INTEGER NOT NULL,
    source    TEXT NOT NULL,   -- table
    row       TEXT NOT NULL,   -- its key
    reason    TEXT NOT NULL,
    data      BLOB NOT NULL    -- what was found there
);
