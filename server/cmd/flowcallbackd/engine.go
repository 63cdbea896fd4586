package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/flowcallback/flowcallback/openapi/contract"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/engine/temporal"
)

// openEngine chooses an engine by the scheme of its URL and opens it.
func openEngine(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	switch scheme, _, _ := strings.Cut(s.engine, ":"); {
	case scheme == "sqlite" || s.throwaway:
		return openSQLite(ctx, s, registry, logger)
	case scheme == "temporal":
		return openTemporal(s, logger)
	default:
		return nil, nil, fmt.Errorf("--engine %q: want sqlite:PATH, such as sqlite:flowcallback.db, or temporal://HOST:PORT", s.engine)
	}
}

// openTemporal prepares a connection to Temporal, which need not be there.
func openTemporal(s settings, logger *slog.Logger) (engine.Engine, func() error, error) {
	if s.unknown != "reject" {
		return nil, nil, fmt.Errorf("--unknown %q: with Temporal a callback can only be rejected where nobody waits", s.unknown)
	}
	e, err := temporal.Open(s.engine, temporal.Options{Logger: logger})
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engine, err)
	}
	return e, e.Close, nil
}

// openSQLite opens the file that holds the waits.
func openSQLite(ctx context.Context, s settings, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	options := sqlite.Options{Retention: s.retention, Logger: logger, Committed: newCommitMetrics(registry).observe}
	switch s.unknown {
	case "reject":
	case "hold":
		options.HoldUnknown = true
	default:
		return nil, nil, fmt.Errorf("--unknown %q: want reject or hold", s.unknown)
	}
	if s.retention < 0 {
		return nil, nil, fmt.Errorf("--retention %s: want a positive duration such as 168h, or 0 for ever", s.retention)
	}
	published, err := contract.Callback()
	if err != nil {
		return nil, nil, err
	}
	options.ExecutionID = func(runID string) string {
		if published.Fits("ExecutionId", runID) {
			return runID
		}
		return uuid.NewString()
	}
	if s.throwaway {
		return openThrowaway(ctx, options, registry, logger)
	}
	_, path, _ := strings.Cut(s.engine, ":")
	if path == "" {
		return nil, nil, fmt.Errorf("--engine %q: want sqlite:PATH, such as sqlite:flowcallback.db", s.engine)
	}
	e, err := sqlite.Open(ctx, path, options)
	if err != nil {
		return nil, nil, fmt.Errorf("--engine %s: %w", s.engine, err)
	}
	registry.MustRegister(fileMetrics{e, logger})
	return e, e.Close, nil
}

// openThrowaway opens a file that is gone when it is closed.
func openThrowaway(ctx context.Context, options sqlite.Options, registry *prometheus.Registry, logger *slog.Logger) (engine.Engine, func() error, error) {
	folder, err := os.MkdirTemp("", "flowcallbackd-demo-")
	if err != nil {
		return nil, nil, err
	}
	e, err := sqlite.Open(ctx, filepath.Join(folder, "waits.db"), options)
	if err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(folder))
	}
	registry.MustRegister(fileMetrics{e, logger})
	return e, func() error { return errors.Join(e.Close(), os.RemoveAll(folder)) }, nil
}

// engineName is the engine as the log names it.
func (s settings) engineName() string {
	if s.throwaway {
		return "sqlite, thrown away at exit"
	}
	return s.engine
}
