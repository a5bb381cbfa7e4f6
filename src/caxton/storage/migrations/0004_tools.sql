-- Tools: what they were when they were approved, which agents may use which, and what agents have spent on them.

CREATE TABLE tool_pins (
    workspace       TEXT NOT NULL,
    source          TEXT NOT NULL,
    tool            TEXT NOT NULL,     -- empty: the source itself was seen
    approved_sha256 TEXT NOT NULL,     -- of the definition that may be used; empty: none
    approved        BLOB NOT NULL,     -- that definition, JSON
    seen_sha256     TEXT NOT NULL,     -- of the one that it had last
    seen            BLOB NOT NULL,
    is_held         INTEGER NOT NULL,  -- somebody put it in quarantine
    decided_us      INTEGER NOT NULL,
    decided_by      TEXT NOT NULL,
    PRIMARY KEY (workspace, source, tool)
) WITHOUT ROWID;

CREATE TABLE tool_approvals (          -- of an agent's first use
    workspace  TEXT NOT NULL,
    agent      TEXT NOT NULL,
    tool       TEXT NOT NULL,          -- SOURCE.TOOL
    sha256     TEXT NOT NULL,          -- of the tool's definition
    decided_us INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    PRIMARY KEY (workspace, agent, tool)
) WITHOUT ROWID;

CREATE TABLE tool_budgets (
    workspace TEXT NOT NULL,
    agent     TEXT NOT NULL,
    calls     INTEGER NOT NULL,
    cost      REAL NOT NULL,
    PRIMARY KEY (workspace, agent)
) WITHOUT ROWID;
