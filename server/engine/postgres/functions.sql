-- Each function is one step of the engine, in one transaction. A statement of a function sees what was
-- committed before that statement began (READ COMMITTED), so what follows a lock sees all that was
-- committed under the lock before.
--
-- ahead: milliseconds that the engine's clock is ahead of the database's; 0 outside of tests.

CREATE FUNCTION flowcallback.now(ahead bigint) RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
  SELECT date_trunc('milliseconds', clock_timestamp()) + ahead * interval '1 millisecond'
$$;

-- Names this server and its history: another after a failover, a restored dump, or a start with a copy
-- of the disk.
CREATE FUNCTION flowcallback.identity() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), 'flowcallback.feed'::regclass::oid, extract(epoch FROM pg_postmaster_start_time()))
$$;

-- The last position of a project.
CREATE FUNCTION flowcallback.last(of bigint) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT greatest(f.base, f.floor, (SELECT max(o.position) FROM flowcallback.outcomes o WHERE o.project = of))
  FROM flowcallback.feed f WHERE f.project = of
$$;

-- Begins an epoch of a project after its last position. The caller has locked the project's feed.
CREATE FUNCTION flowcallback.begin_epoch(of bigint, self text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  last bigint := flowcallback.last(of);
BEGIN
  DELETE FROM flowcallback.epochs e WHERE e.project = of AND e.first = last; -- it has no positions, so no cursor names it
  INSERT INTO flowcallback.epochs (project, first, id) VALUES (of, last, substr(replace(gen_random_uuid()::text, '-', ''), 1, 16));
  UPDATE flowcallback.feed f SET identity = self WHERE f.project = of;
END $$;

-- Creates the projects that do not exist, and locks all of them for opening waits.
CREATE FUNCTION flowcallback.enter(names bytea[]) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  INSERT INTO flowcallback.projects (name)
  SELECT DISTINCT u.name FROM unnest(names) AS u (name)
  WHERE NOT EXISTS (SELECT FROM flowcallback.projects p WHERE p.name = u.name)
  ORDER BY u.name ON CONFLICT DO NOTHING;
  IF FOUND THEN
    INSERT INTO flowcallback.feed (project, identity, base, floor)
    SELECT p.id, z.identity, z.base, z.floor FROM flowcallback.projects p, flowcallback.feed z
    WHERE p.name = ANY (names) AND z.project = 0 ON CONFLICT DO NOTHING;
  END IF;
  PERFORM FROM flowcallback.projects p WHERE p.name = ANY (names) ORDER BY p.id FOR UPDATE;
END $$;

-- Opens waits, unless their keys are known. ns and tags are the tags of all: the number of the wait, and
-- a tag.
CREATE FUNCTION flowcallback.open(ahead bigint, keys bytea[], names bytea[], wait_ids bytea[], workflows bytea[], runs bytea[], states bytea[],
  executions bytea[], timeouts bigint[], titles bytea[], tag_lists bytea[], principals bytea[], inputs bytea[], schemas bytea[], ns bigint[], tags bytea[])
RETURNS TABLE (n bigint, wait bigint, created_at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz;
BEGIN
  PERFORM flowcallback.enter(names);
  moment := flowcallback.now(ahead);
  RETURN QUERY
  WITH input AS (
    SELECT * FROM unnest(keys, names, wait_ids, workflows, runs, states, executions, timeouts, titles, tag_lists, principals, inputs, schemas)
      WITH ORDINALITY AS u (key, name, wait_id, workflow_id, run_id, state_id, execution_id, timeout, title, tag_list, principal, input, schema, n)
  ), fresh AS (
    INSERT INTO flowcallback.waits AS w (key, project, wait_id, workflow_id, run_id, state_id, execution_id, created_at, expires_at, title, tags, opened_by, input, output_schema)
    SELECT i.key, p.id, i.wait_id, i.workflow_id, i.run_id, i.state_id, i.execution_id, moment, moment + i.timeout * interval '1 second', i.title, i.tag_list, i.principal, i.input, i.schema
    FROM input i JOIN flowcallback.projects p ON p.name = i.name ORDER BY i.n
    ON CONFLICT (key) DO NOTHING
    RETURNING w.id, w.key, w.project, w.wait_id, w.expires_at, w.execution_id, w.output_schema IS NOT NULL AS typed
  ), waiting AS (
    INSERT INTO flowcallback.pending (key, wait, project, deadline, execution_id, typed)
    SELECT f.key, f.id, f.project, f.expires_at, f.execution_id, f.typed FROM fresh f
  ), tagged AS (
    INSERT INTO flowcallback.tags (project, tag, wait)
    SELECT f.project, t.tag, f.id FROM unnest(wait_ids) WITH ORDINALITY AS i (wait_id, n) JOIN unnest(ns, tags) AS t (n, tag) ON t.n = i.n JOIN fresh f ON f.wait_id = i.wait_id
  )
  SELECT i.n, f.id, moment FROM unnest(wait_ids) WITH ORDINALITY AS i (wait_id, n) JOIN fresh f ON f.wait_id = i.wait_id;
END $$;

-- Moves waits out of waiting, and says of each callback what it found. statuses: 2 success, 3 fail, 4
-- expired (only if it is due), 5 cancelled. A wait that is due expires, whatever the callback is.
--   wants     the row of the only wait that the callback may settle, or NULL
--   judged    the row of the wait by whose schema the output was judged, or NULL
--   digests   of links, or NULL
--
-- The answer: settled says that this callback has moved the wait, to status. Else wait is NULL if the key
-- is unknown; pending says that the wait waits still; status is the stored one, and same says that the stored
-- outcome has the same bytes.
CREATE FUNCTION flowcallback.settle(ahead bigint, keys bytea[], wants bigint[], statuses smallint[], errors bytea[], outputs bytea[], callers bytea[], judged bigint[], digests bytea[])
RETURNS TABLE (n bigint, wait bigint, settled boolean, pending boolean, status smallint, same boolean, execution_id bytea, linked bigint, link_is_over boolean) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  moment   timestamptz;
  self     text;
  involved bigint[];
  done     bigint[] := '{}';
  moved    bigint[];
  became   smallint[];
  resumed  bytea[];
BEGIN
  involved := ARRAY(SELECT DISTINCT p.project FROM flowcallback.pending p WHERE p.key = ANY (keys));
  IF involved <> '{}' THEN
    PERFORM FROM flowcallback.feed f WHERE f.project = ANY (involved) ORDER BY f.project FOR UPDATE;
    self := flowcallback.identity();
    PERFORM flowcallback.begin_epoch(f.project, self) FROM flowcallback.feed f WHERE f.project = ANY (involved) AND f.identity <> self;
    moment := flowcallback.now(ahead);
    WITH picked AS (
      SELECT DISTINCT ON (i.key) i.n, p.key, p.wait, p.project, p.execution_id, p.deadline <= moment AS due,
        CASE WHEN p.deadline <= moment THEN 4::smallint ELSE i.status END AS status, i.error, i.output, i.caller
      FROM unnest(keys, wants, statuses, errors, outputs, callers, judged, digests)
        WITH ORDINALITY AS i (key, want, status, error, output, caller, judged, digest, n)
      JOIN flowcallback.pending p ON p.key = i.key
      WHERE p.project = ANY (involved) -- not one that was opened since
        AND (i.digest IS NULL OR EXISTS (SELECT FROM flowcallback.links l WHERE l.digest = i.digest AND l.wait = p.wait AND (l.expires_at <= moment) IS NOT TRUE))
        AND (p.deadline <= moment OR i.status <> 4 AND (i.want IS NULL OR i.want = p.wait) AND (NOT p.typed OR i.status <> 2 OR i.judged = p.wait))
      ORDER BY i.key, i.n
    ), gone AS (
      DELETE FROM flowcallback.pending p USING picked k WHERE p.key = k.key
    ), ends AS (
      SELECT x.project, flowcallback.last(x.project) AS position FROM unnest(involved) AS x (project)
    ), added AS (
      INSERT INTO flowcallback.outcomes (project, position, wait, at, status, error, output, caller)
      SELECT k.project, e.position + row_number() OVER (PARTITION BY k.project ORDER BY k.n), k.wait, moment, k.status,
        CASE WHEN k.due THEN NULL ELSE k.error END, CASE WHEN k.due THEN NULL ELSE k.output END, CASE WHEN k.due THEN NULL ELSE k.caller END
      FROM picked k JOIN ends e ON e.project = k.project
    )
    SELECT coalesce(array_agg(k.n), '{}'), array_agg(k.wait), array_agg(k.status), array_agg(k.execution_id) INTO done, moved, became, resumed FROM picked k;
    RETURN QUERY
    SELECT d.n, d.wait, true, false, d.status, false, d.execution_id, d.wait, false FROM unnest(done, moved, became, resumed) AS d (n, wait, status, execution_id);
  END IF;
  IF cardinality(done) = cardinality(keys) THEN
    RETURN;
  END IF;
  moment := flowcallback.now(ahead);
  RETURN QUERY
  SELECT i.n, w.id, false, p.key IS NOT NULL, coalesce(o.status, h.status),
    i.status = coalesce(o.status, h.status) AND i.error IS NOT DISTINCT FROM coalesce(o.error, h.error) AND i.output IS NOT DISTINCT FROM coalesce(o.output, h.output),
    w.execution_id, l.wait, l.expires_at <= moment
  FROM unnest(keys, statuses, errors, outputs, digests) WITH ORDINALITY AS i (key, status, error, output, digest, n)
  LEFT JOIN flowcallback.links l ON l.digest = i.digest
  LEFT JOIN flowcallback.waits w ON w.key = i.key
  LEFT JOIN flowcallback.pending p ON p.key = i.key
  LEFT JOIN flowcallback.outcomes o ON o.project = w.project AND o.status IN (2, 3, 4, 5) AND o.wait = w.id
  LEFT JOIN flowcallback.held h ON w.project IS NULL AND h.wait = w.id
  WHERE i.n <> ALL (done);
END $$;

-- Holds callbacks for unknown states: 0 if the state is known, or another callback of this call is held
-- for it, 1 if the project has as many held callbacks as it may have, 2 if it is held.
CREATE FUNCTION flowcallback.hold(ahead bigint, keys bytea[], names bytea[], workflows bytea[], runs bytea[], states bytea[], executions bytea[],
  statuses smallint[], errors bytea[], outputs bytea[], callers bytea[], most bigint)
RETURNS TABLE (n bigint, answer integer) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
  moment timestamptz;
BEGIN
  PERFORM flowcallback.enter(names);
  moment := flowcallback.now(ahead);
  RETURN QUERY
  WITH room AS (
    SELECT p.id, p.name, most - (SELECT count(*) FROM (SELECT FROM flowcallback.held h WHERE h.project = p.id LIMIT most) AS x) AS places
    FROM flowcallback.projects p WHERE p.name = ANY (names)
  ), fresh AS (
    SELECT f.n, f.key, r.id AS project, row_number() OVER (PARTITION BY r.id ORDER BY f.n) <= r.places AS fits
    FROM (SELECT DISTINCT ON (u.key) u.n, u.key, u.name FROM unnest(keys, names) WITH ORDINALITY AS u (key, name, n) ORDER BY u.key, u.n) AS f
    JOIN room r ON r.name = f.name
    WHERE NOT EXISTS (SELECT FROM flowcallback.waits w WHERE w.key = f.key)
  ), rows AS (
    INSERT INTO flowcallback.waits AS w (key, workflow_id, run_id, state_id, execution_id, created_at, expires_at)
    SELECT f.key, workflows[f.n], runs[f.n], states[f.n], executions[f.n], moment, moment FROM fresh f WHERE f.fits ORDER BY f.n
    ON CONFLICT (key) DO NOTHING RETURNING w.id, w.key
  ), kept AS (
    INSERT INTO flowcallback.held (wait, project, held_at, status, error, output, caller)
    SELECT r.id, f.project, moment, statuses[f.n], errors[f.n], outputs[f.n], callers[f.n] FROM rows r JOIN fresh f ON f.key = r.key
  )
  SELECT f.n, CASE WHEN NOT f.fits THEN 1 WHEN r.id IS NOT NULL THEN 2 ELSE 0 END FROM fresh f LEFT JOIN rows r ON r.key = f.key;
END $$;

-- Opens a wait whose callback is held, and hands the callback over. False: there is none.
CREATE FUNCTION flowcallback.hand_over(ahead bigint, key bytea, name bytea, wait_id bytea, workflow_id bytea, run_id bytea, state_id bytea,
  timeout bigint, title bytea, tag_list bytea, principal bytea, input bytea, schema bytea, tags bytea[])
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
  early  flowcallback.held;
  run_as bytea;
  row    bigint;
BEGIN
  PERFORM flowcallback.enter(ARRAY[name]);
  -- In the order in which callbacks are dropped and forgotten: first held, then waits.
  DELETE FROM flowcallback.held h USING flowcallback.waits w WHERE w.key = key AND w.project IS NULL AND h.wait = w.id RETURNING h.* INTO early;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  DELETE FROM flowcallback.waits w WHERE w.id = early.wait RETURNING w.execution_id INTO run_as;
  SELECT o.wait INTO row FROM flowcallback.open(ahead, ARRAY[key], ARRAY[name], ARRAY[wait_id], ARRAY[workflow_id], ARRAY[run_id], ARRAY[state_id],
    ARRAY[run_as], ARRAY[timeout], ARRAY[title], ARRAY[tag_list], ARRAY[principal], ARRAY[input], ARRAY[schema], array_fill(1::bigint, ARRAY[cardinality(tags)]), tags) AS o;
  PERFORM flowcallback.settle(ahead, ARRAY[key], ARRAY[row], ARRAY[early.status], ARRAY[early.error], ARRAY[early.output], ARRAY[early.caller], ARRAY[row], ARRAY[NULL::bytea]);
  RETURN true;
END $$;

-- Gives a wait a new deadline: 0 if it is unknown, 1 if it does not wait, 2 if it is due, 3 if it has
-- the new one.
CREATE FUNCTION flowcallback.move(ahead bigint, name bytea, wait_id bytea, timeout bigint) RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz;
  known  flowcallback.waits;
  ends   timestamptz;
BEGIN
  SELECT w.* INTO known FROM flowcallback.waits w JOIN flowcallback.projects p ON p.id = w.project WHERE w.wait_id = wait_id AND p.name = name;
  IF NOT FOUND THEN
    RETURN 0;
  END IF;
  PERFORM FROM flowcallback.feed f WHERE f.project = known.project FOR UPDATE;
  SELECT p.deadline INTO ends FROM flowcallback.pending p WHERE p.key = known.key AND p.wait = known.id;
  moment := flowcallback.now(ahead);
  IF ends IS NULL THEN
    RETURN 1;
  ELSIF ends <= moment THEN
    RETURN 2;
  END IF;
  UPDATE flowcallback.pending p SET deadline = moment + timeout * interval '1 second' WHERE p.key = known.key;
  UPDATE flowcallback.waits w SET expires_at = moment + timeout * interval '1 second' WHERE w.id = known.id;
  RETURN 3;
END $$;

-- Adds a link to a wait: 0 if the wait is unknown, 1 if it does not wait, 2 if it has as many links as it
-- may have, 3 if the link is there.
CREATE FUNCTION flowcallback.add_link(ahead bigint, name bytea, wait_id bytea, digest bytea, allow smallint, recipient bytea, created_by bytea, timeout bigint, most bigint)
RETURNS integer LANGUAGE plpgsql SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
  moment timestamptz;
  known  flowcallback.waits;
BEGIN
  SELECT w.* INTO known FROM flowcallback.waits w JOIN flowcallback.projects p ON p.id = w.project WHERE w.wait_id = wait_id AND p.name = name;
  IF NOT FOUND THEN
    RETURN 0;
  ELSIF EXISTS (SELECT FROM flowcallback.links l WHERE l.digest = digest AND l.wait = known.id) THEN
    PERFORM pg_logical_emit_message(true, 'flowcallback', ''); -- so that the repeat is as durable
    RETURN 3;
  END IF;
  PERFORM FROM flowcallback.pending p WHERE p.key = known.key AND p.wait = known.id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 1;
  END IF;
  moment := flowcallback.now(ahead);
  IF NOT EXISTS (SELECT FROM flowcallback.pending p WHERE p.key = known.key AND p.deadline > moment) THEN
    RETURN 1;
  ELSIF (SELECT count(*) FROM flowcallback.links l WHERE l.wait = known.id) >= most THEN
    RETURN 2;
  END IF;
  INSERT INTO flowcallback.links (digest, wait, allow, recipient, created_at, created_by, expires_at)
  VALUES (digest, known.id, allow, recipient, moment, created_by, moment + nullif(timeout, 0) * interval '1 millisecond');
  RETURN 3;
END $$;

-- Deletes at most so many of a project's oldest waits that left waiting before the horizon, and returns
-- how many. If several copies try at once, one does it.
CREATE FUNCTION flowcallback.forget(of bigint, horizon timestamptz, many integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
  positions bigint[];
  old       bigint[];
BEGIN
  IF NOT pg_try_advisory_xact_lock('flowcallback.feed'::regclass::oid::integer, (of % 2147483647)::integer) THEN
    RETURN 0;
  END IF;
  SELECT array_agg(x.position), array_agg(x.wait) INTO positions, old FROM (
    SELECT o.position, o.wait, bool_and(o.at <= horizon) OVER (ORDER BY o.position) AS is_old
    FROM flowcallback.outcomes o WHERE o.project = of AND o.position > (SELECT f.floor FROM flowcallback.feed f WHERE f.project = of)
    ORDER BY o.position LIMIT many) AS x WHERE x.is_old;
  IF positions IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM flowcallback.tags t WHERE t.wait = ANY (old);
  DELETE FROM flowcallback.links l WHERE l.wait = ANY (old);
  DELETE FROM flowcallback.waits w WHERE w.id = ANY (old);
  DELETE FROM flowcallback.outcomes o WHERE o.project = of AND o.position = ANY (positions);
  UPDATE flowcallback.feed f SET floor = (SELECT max(u) FROM unnest(positions) AS u) WHERE f.project = of;
  RETURN cardinality(positions);
END $$;

-- Deletes at most so many callbacks that were held before the horizon, and returns how many.
CREATE FUNCTION flowcallback.forget_held(horizon timestamptz, many integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off AS $$
#variable_conflict use_variable
DECLARE
  old bigint[];
BEGIN
  old := ARRAY(SELECT h.wait FROM flowcallback.held h WHERE h.held_at <= horizon ORDER BY h.held_at LIMIT many FOR UPDATE SKIP LOCKED);
  DELETE FROM flowcallback.held h WHERE h.wait = ANY (old);
  DELETE FROM flowcallback.waits w WHERE w.id = ANY (old) AND w.project IS NULL;
  RETURN cardinality(old);
END $$;

-- The first wait of a project that was opened at an instant or later, if the clock never went back.
CREATE FUNCTION flowcallback.opened_at(of bigint, instant timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS $$
DECLARE
  low   bigint := coalesce((SELECT min(w.id) FROM flowcallback.waits w WHERE w.project = of), 1);
  high  bigint := coalesce((SELECT max(w.id) + 1 FROM flowcallback.waits w WHERE w.project = of), 1);
  found flowcallback.waits;
BEGIN
  WHILE low < high LOOP
    SELECT w.* INTO found FROM flowcallback.waits w WHERE w.project = of AND w.id >= (low + high) / 2 ORDER BY w.id LIMIT 1;
    IF found.created_at < instant THEN
      low := found.id + 1;
    ELSE
      high := (low + high) / 2;
    END IF;
  END LOOP;
  RETURN low;
END $$;
