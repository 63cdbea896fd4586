package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

// backupCommand copies the file of the SQLite engine.
func backupCommand(s *settings, stdout io.Writer) *cli.Command {
	var target string
	return &cli.Command{
		Name:      "backup",
		Usage:     "copy the SQLite file while a server uses it",
		ArgsUsage: "FILE",
		Description: `The copy has everything that was answered before the backup. FILE must not exist. To restore a copy,
stop the server, replace the file of --engine with the copy, delete the old -wal and -shm files
beside it, and start the server.`,
		Arguments: []cli.Argument{&cli.StringArg{Name: "FILE", Destination: &target}},
		Action: func(ctx context.Context, c *cli.Command) error {
			if target == "" || c.Args().Present() {
				return errors.New("backup takes one FILE (see flowcallbackd backup --help)")
			}
			path, err := s.sqliteFile()
			if err != nil {
				return err
			}
			if err := sqlite.Backup(ctx, path, target); err != nil {
				return fmt.Errorf("backup: %w", err)
			}
			_, err = fmt.Fprintln(stdout, target)
			return err
		},
	}
}

// checkCommand looks for damage in the file of the SQLite engine.
func checkCommand(s *settings, stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "check",
		Usage: "look for damage in the SQLite file, also while a server uses it",
		Description: `It reads the whole file. The server checks only a part of it at start. If the file is damaged,
restore a backup.`,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see flowcallbackd check --help)", c.Args().First())
			}
			path, err := s.sqliteFile()
			if err != nil {
				return err
			}
			if err := sqlite.Check(ctx, path); err != nil {
				return fmt.Errorf("check: %w", err)
			}
			_, err = fmt.Fprintf(stdout, "%s is not damaged\n", path)
			return err
		},
	}
}

// compactCommand returns the free space of the file of the SQLite engine to the file system.
func compactCommand(s *settings, stdout, stderr io.Writer) *cli.Command {
	return &cli.Command{
		Name:  "compact",
		Usage: "return the free space of the SQLite file to the file system, while no server uses it",
		Description: `A running server does this by itself, in small steps; this command is for a file that should shrink
at once. It can be interrupted, and continues the next time.`,
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see flowcallbackd compact --help)", c.Args().First())
			}
			path, err := s.sqliteFile()
			if err != nil {
				return err
			}
			before, err := os.Stat(path)
			if err != nil {
				return fmt.Errorf("compact: %w", err)
			}
			var told time.Time
			err = sqlite.Compact(ctx, path, func(left int64) {
				if time.Since(told) > time.Second {
					told = time.Now()
					fmt.Fprintf(stderr, "%.1f MiB to return\n", float64(left)/(1<<20))
				}
			})
			if err != nil {
				return fmt.Errorf("compact: %w", err)
			}
			after, err := os.Stat(path)
			if err != nil {
				return fmt.Errorf("compact: %w", err)
			}
			_, err = fmt.Fprintf(stdout, "%s: %.1f MiB before, %.1f MiB after\n", path, float64(before.Size())/(1<<20), float64(after.Size())/(1<<20))
			return err
		},
	}
}

// sqliteFile returns the path of the SQLite engine's file.
func (s settings) sqliteFile() (string, error) {
	scheme, path, _ := strings.Cut(s.engine, ":")
	if scheme != "sqlite" || path == "" {
		return "", fmt.Errorf("--engine %q: only the SQLite engine has a file; want sqlite:PATH", s.engineName())
	}
	return path, nil
}
