package sqlite

import "github.com/ncruces/go-sqlite3"

const (
	// rememberedProjects limits the projects whose numbers are in memory.
	rememberedProjects = 10_000

	projectByName = `SELECT id FROM projects WHERE name = ?`
	insertProject = `INSERT INTO projects (name, floor) SELECT ?, floor FROM state`
)

// projectOf returns the number of a project, or 0 if the file has none with this name.
func (e *Engine) projectOf(c *conn, name string) (project int64, err error) {
	if project, ok := e.projects.Get(name); ok {
		return project, nil
	}
	err = c.query(projectByName, func(row *sqlite3.Stmt) error {
		project = row.ColumnInt64(0)
		return nil
	}, name)
	return project, err
}

// projectFor returns the number of a project, which it creates if the file has none. Only
// readers remember numbers, because a transaction may be rolled back.
func (e *Engine) projectFor(t *tx, name string) (int64, error) {
	project, err := e.projectOf(t.conn, name)
	if err != nil || project != 0 {
		return project, err
	}
	if err := t.execute(insertProject, name); err != nil {
		return 0, err
	}
	t.woken = append(t.woken, topic{}) // for followers of a project that did not exist
	return t.LastInsertRowID(), nil
}

// knownProject is projectOf for a reader, which sees only commits.
func (e *Engine) knownProject(c *conn, name string) (int64, error) {
	project, err := e.projectOf(c, name)
	if err == nil && project != 0 {
		e.projects.Add(name, project)
	}
	return project, err
}
