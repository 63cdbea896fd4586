-- Times are Unix milliseconds. Ids are compared byte for byte (BINARY, the default). There are
-- no foreign keys: one writer keeps the tables together, and checks would cost every settle.
--
-- A settle appends one row to outcomes and writes nothing else. What follows from it (ended and
-- lists) is folded in later, for many settles at once (fold.go).
--
-- The pages have checksums, and auto_vacuum is incremental. A person may read the file with
-- sqlite3, for example the view "everything", but must not write it: sqlite3 would leave pages
-- without checksums.

-- Ids of projects take much space in keys of indexes; these numbers take little.
CREATE TABLE projects (
  id    INTEGER PRIMARY KEY,
  name  TEXT    NOT NULL UNIQUE,
  floor INTEGER NOT NULL DEFAULT 0, -- the last position in outcomes that retention has deleted
  held  INTEGER NOT NULL DEFAULT 0  -- the number of held callbacks
) STRICT;

-- What a callback must find: the wait of a state. key is a digest of project, workflow, run and
-- state (key.go). execution_id is NULL if it is the run id.
CREATE TABLE keys (
  key          BLOB    PRIMARY KEY,
  wait         INTEGER NOT NULL, -- waits.id
  project      INTEGER NOT NULL, -- projects.id
  expires_at   INTEGER NOT NULL, -- as in waits
  execution_id TEXT,
  typed        INTEGER           -- 1 if the wait has a row in schemas
) STRICT, WITHOUT ROWID;

-- One row for each wait. Only a deadline that is moved changes it.
CREATE TABLE waits (
  id           INTEGER PRIMARY KEY, -- the order of opening, never reused: the list's cursor
  wait_id      TEXT    NOT NULL UNIQUE,
  project      INTEGER NOT NULL,
  workflow_id  TEXT    NOT NULL,
  run_id       TEXT    NOT NULL,
  state_id     TEXT    NOT NULL,
  execution_id TEXT,                -- NULL if it is the run id
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER NOT NULL,
  title        TEXT,
  tags         TEXT,                -- a JSON array of strings; NULL if there are none
  opened_by    TEXT                 -- the principal; NULL if the server does not authenticate
) STRICT;
CREATE INDEX waits_by_deadline ON waits (project, expires_at);

-- What the outputs of waits must be.
CREATE TABLE schemas (
  wait   INTEGER PRIMARY KEY, -- waits.id
  schema TEXT NOT NULL
) STRICT;

CREATE TABLE inputs (
  wait  INTEGER PRIMARY KEY, -- waits.id
  input TEXT NOT NULL
) STRICT;

-- Deadlines for the sweeper. A settle leaves its row here; at the deadline the sweeper finds
-- nothing to expire and deletes the row.
CREATE TABLE deadlines (
  expires_at INTEGER NOT NULL,
  wait       INTEGER NOT NULL, -- waits.id
  PRIMARY KEY (expires_at, wait)
) STRICT, WITHOUT ROWID;

-- The feed: one row for each wait that left waiting, appended in the order of commits. seq is
-- counted over all projects. status: 2 success, 3 fail, 4 expired, 5 cancelled (status.go).
CREATE TABLE outcomes (
  project    INTEGER NOT NULL,
  seq        INTEGER NOT NULL,
  wait       INTEGER NOT NULL, -- waits.id
  status     INTEGER NOT NULL,
  settled_at INTEGER NOT NULL, -- for the expired, their deadline
  added_at   INTEGER NOT NULL, -- when the row was added, by retention's clock (age.go)
  error      TEXT,             -- of the cancelled, the reason
  output     TEXT,             -- NULL for the expired and the cancelled
  caller     TEXT,             -- the principal that sent it or cancelled; NULL if the server does not authenticate
  PRIMARY KEY (project, seq)
) STRICT, WITHOUT ROWID;

-- The positions in outcomes of waits that left waiting: 6 bytes for each of 512 waits (fold.go).
CREATE TABLE ended (
  chunk INTEGER PRIMARY KEY, -- waits.id / 512
  seqs  BLOB NOT NULL
) STRICT;

-- Sets of waits: one bit for each of 4096 waits, or the numbers of a few (bits.go). A name is empty
-- for all waits of the project, or a letter and an id: of a workflow (w), run (r) or state (s), or
-- a tag (t). status is 0 for all statuses; only the set of all waits has the others.
CREATE TABLE lists (
  project INTEGER NOT NULL,
  name    TEXT    NOT NULL,
  status  INTEGER NOT NULL,
  chunk   INTEGER NOT NULL, -- waits.id / 4096
  waits   BLOB    NOT NULL,
  PRIMARY KEY (project, name, status, chunk)
) STRICT, WITHOUT ROWID;

-- The number of waits by status, so that metrics need not count rows. As of the fold.
CREATE TABLE counts (
  status INTEGER PRIMARY KEY,
  waits  INTEGER NOT NULL
) STRICT;

CREATE TABLE state (
  only    INTEGER PRIMARY KEY CHECK (only = 1),
  opened  INTEGER NOT NULL, -- waits up to this id are folded into lists
  settled INTEGER NOT NULL, -- outcomes up to this position are folded into ended and lists
  floor   INTEGER NOT NULL, -- of projects that the file does not know yet
  tried   INTEGER NOT NULL, -- changed to test whether the file can be written
  age     INTEGER,          -- retention's clock, when it was stored last (age.go)
  age_at  INTEGER           -- the machine's clock at that moment
) STRICT;
INSERT INTO state VALUES (1, 0, 0, 0, 0, NULL, NULL);

-- Each start of a server begins an epoch, which cursors of the feed name (epochs.go).
CREATE TABLE epochs (
  n     INTEGER PRIMARY KEY,
  id    TEXT    NOT NULL, -- random; empty for what was before there were epochs
  first INTEGER NOT NULL  -- the last position before it
) STRICT;

-- Callbacks for unknown states (--unknown=hold).
CREATE TABLE held (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  key          BLOB    NOT NULL UNIQUE, -- as in keys
  project      INTEGER NOT NULL,
  workflow_id  TEXT    NOT NULL,
  run_id       TEXT    NOT NULL,
  state_id     TEXT    NOT NULL,
  execution_id TEXT    NOT NULL,
  status       INTEGER NOT NULL,        -- as in outcomes
  error        TEXT,
  caller       TEXT,
  held_at      INTEGER NOT NULL,
  added_at     INTEGER NOT NULL,        -- as in outcomes
  output       TEXT    NOT NULL         -- last, so that lists need not read it
) STRICT;
CREATE INDEX held_of_project ON held (project);
CREATE INDEX held_since      ON held (added_at);

-- Links to waits. digest is the SHA-256 of the secret in the URL. allow: 1 success, 2 fail, 3 both.
CREATE TABLE links (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  digest     BLOB    NOT NULL UNIQUE,
  wait       INTEGER NOT NULL, -- waits.id
  allow      INTEGER NOT NULL,
  recipient  TEXT,
  created_at INTEGER NOT NULL,
  created_by TEXT,
  expires_at INTEGER           -- NULL: with the wait
) STRICT;
CREATE INDEX links_of_wait ON links (wait);

-- Every wait with its status, for people.
CREATE VIEW everything AS
SELECT w.wait_id, p.name AS project_id, w.workflow_id, w.run_id, w.state_id, coalesce(w.execution_id, w.run_id) AS execution_id,
       w.title, w.tags, w.opened_by, CASE WHEN o.status IS NULL THEN 'waiting' ELSE (CASE o.status WHEN 2 THEN 'success' WHEN 3 THEN 'fail' WHEN 4 THEN 'expired' ELSE 'cancelled' END) END AS status,
       datetime(w.created_at / 1000, 'unixepoch') AS created_at, datetime(w.expires_at / 1000, 'unixepoch') AS expires_at,
       datetime(o.settled_at / 1000, 'unixepoch') AS settled_at, o.error, o.output, o.caller AS settled_by
FROM waits w JOIN projects p ON p.id = w.project LEFT JOIN outcomes o ON o.wait = w.id;
