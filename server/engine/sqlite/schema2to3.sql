-- From schema 2: retention gets a clock of its own.
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
INSERT OR REPLACE INTO sqlite_sequence SELECT 'held3', seq FROM sqlite_sequence WHERE name = 'held';
DROP TABLE held;
ALTER TABLE held3 RENAME TO held;
CREATE INDEX held_of_project ON held (project);
CREATE INDEX held_since      ON held (added_at);
