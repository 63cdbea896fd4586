-- From schema 2: retention gets a clock of its own, and waits a title, tags and the rest. The sets of
-- runs and states are filled by Go (migrate.go).
ALTER TABLE state ADD COLUMN age INTEGER;
ALTER TABLE state ADD COLUMN age_at INTEGER;

CREATE TABLE held3 (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  key          BLOB    NOT NULL UNIQUE,
  project      INTEGER NOT NULL,
  workflow_id  TEXT    NOT NULL,
  run_id       TEXT    NOT NULL,
  state_id     TEXT    NOT NULL,
  execution_id TEXT    NOT NULL,
  status       INTEGER NOT NULL,
  error        TEXT,
  caller       TEXT,
  held_at      INTEGER NOT NULL,
  added_at     INTEGER NOT NULL,
  output       TEXT    NOT NULL
) STRICT;
INSERT INTO held3 SELECT id, key, project, workflow_id, run_id, state_id, execution_id, status, error, caller, held_at, held_at, output FROM held;
DELETE FROM sqlite_sequence WHERE name = 'held3';
INSERT INTO sqlite_sequence SELECT 'held3', seq FROM sqlite_sequence WHERE name = 'held';
DROP TABLE held;
ALTER TABLE held3 RENAME TO held;
CREATE INDEX held_of_project ON held (project);
CREATE INDEX held_since      ON held (added_at);

ALTER TABLE keys ADD COLUMN typed INTEGER;
ALTER TABLE waits ADD COLUMN title TEXT;
ALTER TABLE waits ADD COLUMN tags TEXT;
ALTER TABLE waits ADD COLUMN opened_by TEXT;
CREATE INDEX waits_by_deadline ON waits (project, expires_at);
CREATE TABLE schemas (
  wait   INTEGER PRIMARY KEY,
  schema TEXT NOT NULL
) STRICT;

CREATE TABLE lists3 (
  project INTEGER NOT NULL,
  name    TEXT    NOT NULL,
  status  INTEGER NOT NULL,
  chunk   INTEGER NOT NULL,
  waits   BLOB    NOT NULL,
  PRIMARY KEY (project, name, status, chunk)
) STRICT, WITHOUT ROWID;
INSERT INTO lists3 SELECT project, CASE workflow_id WHEN '' THEN '' ELSE 'w' || workflow_id END, status, chunk, waits
  FROM lists WHERE workflow_id = '' OR status = 0;
DROP TABLE lists;
ALTER TABLE lists3 RENAME TO lists;

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

DROP VIEW everything;
CREATE VIEW everything AS
SELECT w.wait_id, p.name AS project_id, w.workflow_id, w.run_id, w.state_id, coalesce(w.execution_id, w.run_id) AS execution_id,
       w.title, w.tags, w.opened_by, CASE WHEN o.status IS NULL THEN 'waiting' ELSE (CASE o.status WHEN 2 THEN 'success' WHEN 3 THEN 'fail' WHEN 4 THEN 'expired' ELSE 'cancelled' END) END AS status,
       datetime(w.created_at / 1000, 'unixepoch') AS created_at, datetime(w.expires_at / 1000, 'unixepoch') AS expires_at,
       datetime(o.settled_at / 1000, 'unixepoch') AS settled_at, o.error, o.output, o.caller AS settled_by
FROM waits w JOIN projects p ON p.id = w.project LEFT JOIN outcomes o ON o.wait = w.id;
