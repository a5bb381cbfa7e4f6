-- What a node must not lose. Edited never after release: later changes are later files.

-- Modules by content, so that replicas and versions of one module are stored once.
CREATE TABLE modules (
    sha256      TEXT PRIMARY KEY,
    bytes       BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE agents (
    workspace     TEXT NOT NULL,
    name          TEXT NOT NULL,
    id            TEXT NOT NULL,
    revision      INTEGER NOT NULL,   -- counts deployments under this name, from 1
    spec          BLOB NOT NULL,      -- AgentSpec as JSON
    module_sha256 TEXT NOT NULL,
    phase         TEXT NOT NULL,      -- running, stopped or failed: how it comes back after a restart
    reason        TEXT,
    deployed_us   INTEGER NOT NULL,
    PRIMARY KEY (workspace, name)
) WITHOUT ROWID;

-- Messages that were not settled when a commit came by, and those from or to the outside, which are kept for a while.
CREATE TABLE messages (
    seq             INTEGER PRIMARY KEY,  -- order of acceptance on this node
    workspace       TEXT NOT NULL,
    sender          TEXT NOT NULL,
    receiver        TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    conversation_id TEXT,
    attempt         INTEGER NOT NULL,
    max_attempts    INTEGER NOT NULL,
    kept            INTEGER NOT NULL,     -- 1: stays after settlement, for GET by conversation
    settled_us      INTEGER,              -- null: still to be handled
    body            BLOB NOT NULL         -- the message as JSON
);
CREATE INDEX messages_by_conversation ON messages (workspace, conversation_id) WHERE kept = 1;
CREATE INDEX messages_unsettled ON messages (seq) WHERE settled_us IS NULL;

CREATE TABLE dead_letters (
    seq             INTEGER PRIMARY KEY,
    workspace       TEXT NOT NULL,
    sender          TEXT NOT NULL,
    receiver        TEXT NOT NULL,
    message_id      TEXT NOT NULL,
    conversation_id TEXT,
    attempts        INTEGER NOT NULL,
    reason          TEXT NOT NULL,
    last_error      TEXT,
    dead_us         INTEGER NOT NULL,
    body            BLOB NOT NULL
);

CREATE TABLE kv (
    workspace TEXT NOT NULL,
    agent     TEXT NOT NULL,
    key       BLOB NOT NULL,
    value     BLOB NOT NULL,
    PRIMARY KEY (workspace, agent, key)
) WITHOUT ROWID;

CREATE TABLE timers (
    workspace TEXT NOT NULL,
    agent     TEXT NOT NULL,
    timer_id  INTEGER NOT NULL,
    replica   INTEGER NOT NULL,
    due_us    INTEGER NOT NULL,
    attempt   INTEGER NOT NULL,
    PRIMARY KEY (workspace, agent, timer_id)
) WITHOUT ROWID;

CREATE TABLE subscriptions (
    workspace TEXT NOT NULL,
    topic     TEXT NOT NULL,
    agent     TEXT NOT NULL,
    PRIMARY KEY (workspace, topic, agent)
) WITHOUT ROWID;
