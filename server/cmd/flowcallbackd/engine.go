package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
)

// openEngine opens the engine that the scheme of --engine names.
func openEngine(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	scheme, _, _ := strings.Cut(s.engine, ":")
	if s.durability != string(postgres.Machine) && (s.temporary || !isPostgres(scheme)) {
		return nil, nil, fmt.Errorf("--durability %s: only the PostgreSQL engine has it", s.durability)
	}
	switch {
	case scheme == "sqlite" || s.temporary:
		return openSQLite(ctx, s, registry, logger)
	case isPostgres(scheme):
		return openPostgres(ctx, s, registry, logger)
	case scheme == "temporal":
		return openTemporal(s, logger)
	default:
		return nil, nil, fmt.Errorf("--engine %q: want sqlite:PATH, such as sqlite:flowcallback.db, postgres://USER@HOST:PORT/DATABASE, or temporal://HOST:PORT", s.engineName())
	}
}

// isPostgres reports whether a scheme is one of PostgreSQL's.
func isPostgres(scheme string) bool { return scheme == "postgres" || scheme == "postgresql" }

// openPostgres connects to the database.
func openPostgres(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	k, err := s.keeping()
	if err != nil {
		return nil, nil, err
	}
	durability, err := s.asked()
	if err != nil {
		return nil, nil, err
	}
	e, err := postgres.Open(ctx, s.engine, postgres.Options{
		Durability: durability, HoldUnknown: k.hold, MaxHeld: s.maxHeld, Retention: s.retention, Judge: k.judge, Metrics: registry, Logger: logger,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engineName(), err)
	}
	return e, e.Close, nil
}

// asked returns what --durability asks for.
func (s settings) asked() (postgres.Durability, error) {
	for _, known := range []postgres.Durability{postgres.Machine, postgres.Standby, postgres.External} {
		if s.durability == string(known) {
			return known, nil
		}
	}
	return "", fmt.Errorf("--durability %q: want machine, standby or external", s.durability)
}

// keeping is what the engines with a store of their own have in common.
type keeping struct {
	hold  bool
	judge func(schema, output []byte) error
}

// keeping checks the flags about what is kept.
func (s settings) keeping() (k keeping, err error) {
	if s.maxHeld < 1 {
		return k, fmt.Errorf("--max-held %d: want at least 1", s.maxHeld)
	}
	if s.retention < 0 {
		return k, fmt.Errorf("--retention %s: want a positive duration such as 168h, or 0 for no limit", s.retention)
	}
	if s.unknown != "reject" && s.unknown != "hold" {
		return k, fmt.Errorf("--unknown %q: want reject or hold", s.unknown)
	}
	k.hold = s.unknown == "hold"
	k.judge, err = server.OutputJudge()
	return k, err
}

// openTemporal prepares a connection to Temporal, which may be unreachable.
func openTemporal(s settings, logger *slog.Logger) (engine.Engine, func() error, error) {
	if s.unknown != "reject" {
		return nil, nil, fmt.Errorf("--unknown %q: the Temporal engine cannot hold callbacks for unknown states", s.unknown)
	}
	e, err := temporal.Open(s.engine, temporal.Options{Logger: logger})
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engineName(), err)
	}
	return e, e.Close, nil
}

// openSQLite opens the SQLite file, or a temporary one for the demo.
func openSQLite(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	k, err := s.keeping()
	if err != nil {
		return nil, nil, err
	}
	options := sqlite.Options{HoldUnknown: k.hold, Judge: k.judge, MaxHeld: s.maxHeld, Retention: s.retention, Metrics: registry, Logger: logger}
	if s.temporary {
		return openTemporary(ctx, options)
	}
	_, path, _ := strings.Cut(s.engine, ":")
	if path == "" {
		return nil, nil, fmt.Errorf("--engine %q: want sqlite:PATH, such as sqlite:flowcallback.db", s.engine)
	}
	e, err := sqlite.Open(ctx, path, options)
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engineName(), err)
	}
	return e, e.Close, nil
}

// openTemporary opens a file that is deleted when the engine is closed.
func openTemporary(ctx context.Context, options sqlite.Options) (engine.Engine, func() error, error) {
	folder, err := os.MkdirTemp("", "flowcallbackd-demo-")
	if err != nil {
		return nil, nil, err
	}
	e, err := sqlite.Open(ctx, filepath.Join(folder, "waits.db"), options)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(folder))
	}
	return e, func() error { return errors.Join(e.Close(), os.RemoveAll(folder)) }, nil
}

// sharesNamespace reports whether the engine serves all projects from one namespace, so that
// a project does not separate principals.
func sharesNamespace(e engine.Engine) bool {
	t, ok := e.(*temporal.Engine)
	return ok && t.Namespace() != ""
}

// engineName returns the engine for the log.
func (s settings) engineName() string {
	if s.temporary {
		return "sqlite, temporary file"
	}
	return redacted(s.engine)
}

// passwordParameter matches a password among the parameters of a URL, or in a connection string.
var passwordParameter = regexp.MustCompile(`(?i)(password\s*=)[^&]*`)

// redacted returns a location without its password, whatever else is wrong with it.
func redacted(location string) string {
	scheme, rest, _ := strings.Cut(location, ":")
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		user, _, _ := strings.Cut(rest[:at], ":")
		location = scheme + ":" + user + rest[at:]
	}
	return passwordParameter.ReplaceAllString(location, "${1}…")
}
