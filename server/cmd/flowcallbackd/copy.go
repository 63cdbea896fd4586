package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// copyCommand copies the file of the SQLite engine into PostgreSQL.
func copyCommand(s *settings, stdout, stderr io.Writer) *cli.Command {
	var from, to string
	return &cli.Command{
		Name:      "copy",
		Usage:     "copy the SQLite file into an empty PostgreSQL database, while no server uses either",
		ArgsUsage: "sqlite:FILE postgres://USER@HOST:PORT/DATABASE",
		Description: `It copies waits, inputs, outcomes, links and held callbacks, and keeps ids and positions, so that the
cursors of followers stay valid. Before it commits, it reads everything back and compares it with the
file. If it is interrupted before that, nothing is copied: run it again. Waits that are due expire in
the file first; it is not changed otherwise. No server may use the file afterwards: what it settled
then would be missing in the database.`,
		Arguments: []cli.Argument{&cli.StringArg{Name: "FROM", Destination: &from}, &cli.StringArg{Name: "TO", Destination: &to}},
		Action: func(ctx context.Context, c *cli.Command) error {
			if to == "" || c.Args().Present() {
				return errors.New("copy takes sqlite:FILE and postgres://… (see flowcallbackd copy --help)")
			}
			return s.copy(ctx, from, to, stdout, stderr)
		},
	}
}

func (s settings) copy(ctx context.Context, from, to string, stdout, stderr io.Writer) (err error) {
	source, target := s, s
	source.engine, target.engine = from, to
	path, err := source.sqliteFile()
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	if scheme, _, _ := strings.Cut(to, ":"); !isPostgres(scheme) {
		return fmt.Errorf("copy: %q: want postgres://USER@HOST:PORT/DATABASE", target.engineName())
	}
	durability, err := s.asked()
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	logger := slog.New(slog.NewTextHandler(stderr, nil))
	file, closeFile, err := sqlite.OpenSource(ctx, path, sqlite.Options{Logger: logger})
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer func() { err = errors.Join(err, closeFile()) }()
	var told time.Time
	var all int64
	err = postgres.Import(ctx, to, file, postgres.Options{Durability: durability, Logger: logger}, func(what string, done, of int64) {
		all = of
		if time.Since(told) > time.Second {
			told = time.Now()
			fmt.Fprintf(stderr, "%s %d of %d waits\n", what, done, of)
		}
	})
	switch {
	case errors.Is(err, postgres.ErrCommit):
		return fmt.Errorf("copy: %w", err)
	case err != nil && ctx.Err() != nil:
		return errors.New("copy: interrupted: nothing was copied; run it again")
	case errors.Is(err, postgres.ErrNotEmpty):
		return fmt.Errorf("copy: %w: copy into an empty database, or empty this one with DROP SCHEMA flowcallback CASCADE", err)
	case err != nil:
		return fmt.Errorf("copy: %w", err)
	}
	_, err = fmt.Fprintf(stdout, "copied and compared %d waits: start the servers with --engine %s\n", all, target.engineName())
	return err
}
