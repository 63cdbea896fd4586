-- Times are Unix milliseconds. Ids are compared byte for byte (BINARY, the default). There are
-- no foreign keys: one writer keeps the tables together, and checks would cost every settle.
--
-- A settle writes three b-trees: it rewrites the wait's row, removes it from waits_waiting and
-- appends its outcome. Data that would add a fourth is in tables of its own.

-- One row for each wait. A settle rewrites this row, so it is small: input and outcome are in
-- tables of their own.
CREATE TABLE waits (
  id           INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of opening, never reused: the list's cursor
  key          BLOB    NOT NULL UNIQUE,           -- of project, workflow, run and state: 32 bytes (key.go)
  wait_id      TEXT    NOT NULL UNIQUE,
  project_id   TEXT    NOT NULL,
  workflow_id  TEXT    NOT NULL,
  run_id       TEXT    NOT NULL,
  state_id     TEXT    NOT NULL,
  execution_id TEXT    NOT NULL,
  status       TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  seq          INTEGER NOT NULL DEFAULT 0         -- its position in outcomes; 0 while waiting
) STRICT;
CREATE INDEX waits_of_project ON waits (project_id);
CREATE INDEX waits_waiting    ON waits (project_id) WHERE status = 'waiting';

-- Deadlines for the sweeper. A settle leaves its row here; at the deadline the sweeper finds
-- nothing to expire and deletes the row.
CREATE TABLE deadlines (
  expires_at INTEGER NOT NULL,
  wait       INTEGER NOT NULL, -- waits.id
  PRIMARY KEY (expires_at, wait)
) STRICT, WITHOUT ROWID;

CREATE TABLE inputs (
  wait  INTEGER PRIMARY KEY, -- waits.id
  input TEXT NOT NULL
) STRICT;

-- The feed: one row for each wait that left waiting, appended in the order of commits.
-- result, error and output are NULL for the expired and the cancelled.
CREATE TABLE outcomes (
  project_id TEXT    NOT NULL,
  seq        INTEGER NOT NULL,
  wait       INTEGER NOT NULL, -- waits.id
  result     TEXT,
  error      TEXT,
  output     TEXT,
  caller     TEXT,             -- the principal that sent it; NULL if the server does not authenticate
  settled_at INTEGER NOT NULL, -- for the expired, their deadline
  added_at   INTEGER NOT NULL, -- when the row was added: what retention counts from
  PRIMARY KEY (project_id, seq)
) STRICT, WITHOUT ROWID;

-- The last seq. It is in a table of its own so that it stays when retention empties outcomes.
CREATE TABLE feed (
  only  INTEGER PRIMARY KEY CHECK (only = 1),
  last  INTEGER NOT NULL,
  tried INTEGER NOT NULL -- changed to test whether the file can be written
) STRICT;
INSERT INTO feed VALUES (1, 0, 0);

-- The number of waits by status, so that metrics need not count rows.
CREATE TABLE counts (
  status TEXT    PRIMARY KEY,
  waits  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Callbacks for unknown states (--unknown=hold).
CREATE TABLE held (
  key          BLOB    PRIMARY KEY, -- as in waits
  execution_id TEXT    NOT NULL,
  result       TEXT    NOT NULL,
  error        TEXT    NOT NULL,
  output       TEXT    NOT NULL,
  caller       TEXT    NOT NULL,
  held_at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX held_since ON held (held_at);
