package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
)

// openEngine opens the engine that the scheme of --engine names.
func openEngine(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	switch scheme, _, _ := strings.Cut(s.engine, ":"); {
	case scheme == "sqlite" || s.temporary:
		return openSQLite(ctx, s, registry, logger)
	case scheme == "temporal":
		return openTemporal(s, logger)
	default:
		return nil, nil, fmt.Errorf("--engine %q: want sqlite:PATH, such as sqlite:flowcallback.db, or temporal://HOST:PORT", s.engine)
	}
}

// openTemporal prepares a connection to Temporal, which may be unreachable.
func openTemporal(s settings, logger *slog.Logger) (engine.Engine, func() error, error) {
	if s.unknown != "reject" {
		return nil, nil, fmt.Errorf("--unknown %q: the Temporal engine cannot hold callbacks for unknown states", s.unknown)
	}
	e, err := temporal.Open(s.engine, temporal.Options{Logger: logger})
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engine, err)
	}
	return e, e.Close, nil
}

// openSQLite opens the SQLite file, or a temporary one for the demo.
func openSQLite(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	if s.maxHeld < 1 {
		return nil, nil, fmt.Errorf("--max-held %d: want at least 1", s.maxHeld)
	}
	judge, err := server.OutputJudge()
	if err != nil {
		return nil, nil, err
	}
	options := sqlite.Options{Judge: judge, MaxHeld: s.maxHeld, Retention: s.retention, Metrics: registry, Logger: logger}
	switch s.unknown {
	case "reject":
	case "hold":
		options.HoldUnknown = true
	default:
		return nil, nil, fmt.Errorf("--unknown %q: want reject or hold", s.unknown)
	}
	if s.retention < 0 {
		return nil, nil, fmt.Errorf("--retention %s: want a positive duration such as 168h, or 0 for no limit", s.retention)
	}
	if s.temporary {
		return openTemporary(ctx, options)
	}
	_, path, _ := strings.Cut(s.engine, ":")
	if path == "" {
		return nil, nil, fmt.Errorf("--engine %q: want sqlite:PATH, such as sqlite:flowcallback.db", s.engine)
	}
	e, err := sqlite.Open(ctx, path, options)
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engine, err)
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
	return s.engine
}
