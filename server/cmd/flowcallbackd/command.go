package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/server/auth"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

const description = `flowcallbackd enforces the contract of POST /v2/{project_id}/fgs/workflows/{workflow_id}/callback
on every request and durably resumes the flow that waits. The contract itself is served at
/openapi/callback.yaml, and that of the side that waits at /openapi/waits.yaml.

Without --auth it listens on loopback only. On SIGHUP it reads the file of --auth anew; a broken
one changes nothing, and the log says what is wrong with it.

It stops on SIGINT and SIGTERM: it takes no new connections, answers long-polls with what
they have, finishes the requests it took and closes its file. A second signal ends it at once.

Each flag can be set by its environment variable; the flag wins. How Temporal is reached besides
(TLS, API key) is set as for all of its clients: by variables that begin with TEMPORAL_, or by its
configuration file.

Examples:
  flowcallbackd --demo
  flowcallbackd --listen 127.0.0.1:9000 --engine sqlite:/var/lib/flowcallback/waits.db
  FLOWCALLBACKD_LOG_FORMAT=json flowcallbackd
  flowcallbackd --listen :8443 --auth auth.yaml --tls-cert cert.pem --tls-key key.pem
  flowcallbackd --engine temporal://localhost:7233/default`

// run executes the command line until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	twin := func(variable string) cli.ValueSourceChain { return cli.EnvVars("FLOWCALLBACKD_" + variable) }
	command := &cli.Command{
		Commands:        []*cli.Command{tokenCommand(stdout), backupCommand(&s, stdout), checkCommand(&s, stdout), healthCommand(&s, stdout)},
		Name:            "flowcallbackd",
		Usage:           "resume flows that wait for a callback",
		UsageText:       "flowcallbackd [flags]\nflowcallbackd token\nflowcallbackd [--engine URL] backup FILE\nflowcallbackd [--engine URL] check\nflowcallbackd [--listen ADDRESS] health",
		Description:     description,
		Version:         version(),
		Writer:          stdout,
		ErrWriter:       stderr,
		HideHelpCommand: true,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // main exits
		OnUsageError: func(_ context.Context, _ *cli.Command, err error, _ bool) error {
			return fmt.Errorf("%w (see flowcallbackd --help)", err)
		},
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "listen", Value: "127.0.0.1:8080", Destination: &s.listen, Sources: twin("LISTEN"),
				Usage: "`ADDRESS` to serve HTTP on, as host:port; port 0 takes a free one. Beyond loopback it takes --auth or --insecure-no-auth",
			},
			&cli.StringFlag{
				Name: "auth", Destination: &s.auth, Sources: twin("AUTH"),
				Usage: "`FILE` that says who may call (see README); read anew on SIGHUP. Without it everyone may who can reach the address",
			},
			&cli.BoolFlag{
				Name: "insecure-no-auth", Destination: &s.insecureNoAuth, Sources: twin("INSECURE_NO_AUTH"),
				Usage: "listen beyond loopback without --auth: everyone who can reach the address may settle flows",
			},
			&cli.StringFlag{
				Name: "tls-cert", Destination: &s.tlsCert, Sources: twin("TLS_CERT"),
				Usage: "PEM `FILE` with the certificate to serve HTTPS with, and its chain; read anew when it changes",
			},
			&cli.StringFlag{
				Name: "tls-key", Destination: &s.tlsKey, Sources: twin("TLS_KEY"),
				Usage: "PEM `FILE` with the certificate's private key; read anew when it changes",
			},
			&cli.StringFlag{
				Name: "engine", Value: "sqlite:flowcallback.db", Destination: &s.engine, Sources: twin("ENGINE"),
				Usage: "where waits live, as a `URL`: sqlite:PATH keeps them in a file; temporal://HOST:PORT resumes activities of Temporal, in the namespace that is named like the project; temporal://HOST:PORT/NAMESPACE in that one",
			},
			&cli.Int64Flag{
				Name: "max-body", Value: 256 << 10, Destination: &s.maxBody, Sources: twin("MAX_BODY"),
				Usage: "largest request body that is taken, in `BYTES`",
			},
			&cli.StringFlag{
				Name: "unknown", Value: "reject", Destination: &s.unknown, Sources: twin("UNKNOWN"),
				Usage: "what to do with a callback for a state that nobody waits for yet: `reject|hold` (hold keeps it for when the wait is opened; SQLite only)",
			},
			&cli.DurationFlag{
				Name: "retention", Value: 7 * 24 * time.Hour, Destination: &s.retention, Sources: twin("RETENTION"),
				Usage: "how long settled waits and held callbacks are kept, as a `DURATION` such as 168h; 0 keeps them for ever (SQLite only: Temporal has its own)",
			},
			&cli.StringFlag{
				Name: "log-format", Value: "text", Destination: &s.logFormat, Sources: twin("LOG_FORMAT"),
				Usage: "format of the log on standard error: `text|json`",
			},
			&cli.BoolFlag{
				Name: "demo", Destination: &s.demo, Sources: twin("DEMO"),
				Usage: "open a wait, print the curl that resumes it, and print the outcome when it comes; without --engine the waits are gone at exit",
			},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see flowcallbackd --help)", c.Args().First())
			}
			s.throwaway = s.demo && !c.IsSet("engine")
			return serve(ctx, s, stdout, stderr)
		},
	}
	return command.Run(ctx, args)
}

// tokenCommand makes tokens for the file of --auth.
func tokenCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:        "token",
		Usage:       "make a token, and the hash of it that the file of --auth wants",
		Description: "Give the token to whoever is to call; it is shown once and kept nowhere.",
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see flowcallbackd token --help)", c.Args().First())
			}
			token, hash := auth.NewToken()
			_, err := fmt.Fprintf(stdout, "token:        %s\ntoken_sha256: %s\n", token, hash)
			return err
		},
	}
}

// backupCommand copies the file of the SQLite engine.
func backupCommand(s *settings, stdout io.Writer) *cli.Command {
	var target string
	return &cli.Command{
		Name:      "backup",
		Usage:     "copy the SQLite engine's file while a server is using it",
		ArgsUsage: "FILE",
		Description: `The copy holds everything that was answered by then. FILE must not exist. To restore it, stop the
server, move it to the place of the engine's file, remove the old one's -wal and -shm beside it,
and start the server.`,
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
		Usage: "look for damage in the SQLite engine's file while a server may be using it",
		Description: `It reads the whole file. The server itself looks for a moment at start only. If the file is
damaged, restore a backup.`,
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
			_, err = fmt.Fprintf(stdout, "%s is whole\n", path)
			return err
		},
	}
}

// sqliteFile returns the path of the SQLite engine's file.
func (s settings) sqliteFile() (string, error) {
	scheme, path, _ := strings.Cut(s.engine, ":")
	if scheme != "sqlite" || path == "" {
		return "", fmt.Errorf("--engine %q: only the SQLite engine has a file, named as sqlite:PATH", s.engine)
	}
	return path, nil
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
