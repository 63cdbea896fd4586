package main

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/server"
	"github.com/flowcallback/flowcallback/server/auth"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
)

const description = `flowcallbackd enforces the contract of POST /v2/{project_id}/fgs/workflows/{workflow_id}/callback
on every request and durably resumes the flow that waits. It serves the contract at
/openapi/callback.yaml, and the API of the waiting side at /openapi/waits.yaml.

Without --auth it listens on loopback only. On SIGHUP it reloads the file of --auth. If the file is
wrong, nothing changes and the log says why.

On SIGTERM it drains: /readyz answers 503 and everything else goes on for --drain, so that load
balancers notice. Then it stops: it accepts no new connections, answers long-polls with what they
have, finishes running requests and closes its file. SIGINT stops it without draining, and ends a drain.
A further signal ends it immediately.

Each flag has an environment variable; the flag wins. The password and the certificates of PostgreSQL are
set as for all its programs: by variables that begin with PG, or in ~/.pgpass. TLS and the API key of Temporal are set as
for all Temporal clients: by variables that begin with TEMPORAL_, or in its configuration file.

Examples:
  flowcallbackd --demo
  flowcallbackd --listen 127.0.0.1:9000 --engine sqlite:/var/lib/flowcallback/waits.db
  FLOWCALLBACKD_LOG_FORMAT=json flowcallbackd
  flowcallbackd --listen :8443 --auth auth.yaml --tls-cert cert.pem --tls-key key.pem
  flowcallbackd --engine postgres://flowcallback@db.internal:5432/flowcallback
  flowcallbackd --engine temporal://localhost:7233/default`

// run executes the command line until it is done or ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var s settings
	variable := func(name string) cli.ValueSourceChain { return cli.EnvVars("FLOWCALLBACKD_" + name) }
	command := &cli.Command{
		Commands:        []*cli.Command{tokenCommand(stdout), backupCommand(&s, stdout), checkCommand(&s, stdout), compactCommand(&s, stdout, stderr), copyCommand(&s, stdout, stderr), healthCommand(&s, stdout)},
		Name:            "flowcallbackd",
		Usage:           "resume flows that wait for a callback",
		UsageText:       "flowcallbackd [flags]\nflowcallbackd token\nflowcallbackd [--engine URL] backup FILE\nflowcallbackd [--engine URL] check\nflowcallbackd [--engine URL] compact\nflowcallbackd copy sqlite:FILE postgres://…\nflowcallbackd [--listen ADDRESS] health",
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
				Name: "listen", Value: "127.0.0.1:8080", Destination: &s.listen, Sources: variable("LISTEN"),
				Usage: "`ADDRESS` to serve HTTP on, as host:port; port 0 chooses a free port. To listen on other addresses than loopback, pass --auth or --insecure-no-auth",
			},
			&cli.StringFlag{
				Name: "auth", Destination: &s.auth, Sources: variable("AUTH"),
				Usage: "`FILE` that lists who may call (see server/auth/README.md); reloaded on SIGHUP. Without it, everyone who can reach the address may call",
			},
			&cli.StringSliceFlag{
				Name: "host", Destination: &s.hosts, Sources: variable("HOST"),
				Usage: "host `NAME` of this server, besides localhost and IP addresses; may be repeated; * allows any name. Without --auth, requests for other names are refused, which protects against DNS rebinding",
			},
			&cli.StringFlag{
				Name: "public-url", Destination: &s.publicURL, Sources: variable("PUBLIC_URL"), HideDefault: true,
				Usage: "`URL` with which links to waits begin, such as https://flows.example.com; its host need not be given to --host (default: the address that the request for a link was sent to)",
			},
			&cli.StringSliceFlag{
				Name: "trusted-proxy", Destination: &s.trustedProxies, Sources: variable("TRUSTED_PROXY"),
				Usage: "network `CIDR` of a proxy whose header X-Forwarded-For names the client, such as 10.0.0.0/8; may be repeated",
			},
			&cli.BoolFlag{
				Name: "insecure-no-auth", Destination: &s.insecureNoAuth, Sources: variable("INSECURE_NO_AUTH"),
				Usage: "listen on any address without --auth: everyone who can reach the address may settle flows",
			},
			&cli.StringFlag{
				Name: "tls-cert", Destination: &s.tlsCert, Sources: variable("TLS_CERT"),
				Usage: "PEM `FILE` with the certificate for HTTPS and its chain; reloaded when it changes",
			},
			&cli.StringFlag{
				Name: "tls-key", Destination: &s.tlsKey, Sources: variable("TLS_KEY"),
				Usage: "PEM `FILE` with the private key of the certificate; reloaded when it changes",
			},
			&cli.StringFlag{
				Name: "engine", Value: "sqlite:flowcallback.db", Destination: &s.engine, Sources: variable("ENGINE"),
				Usage: "`URL` of the store: sqlite:PATH stores waits in a file, for one server; postgres://USER@HOST:PORT/DATABASE stores them in PostgreSQL, for any number of servers; temporal://HOST:PORT resumes activities of Temporal in the namespace with the name of the project; temporal://HOST:PORT/NAMESPACE resumes them in that namespace",
			},
			&cli.StringFlag{
				Name: "durability", Value: "machine", Destination: &s.durability, Sources: variable("DURABILITY"),
				Usage: "what answered callbacks must survive with PostgreSQL: `machine|standby|external`. machine: a crash; standby: the loss of the machine, so a synchronous standby is demanded; external: what the operator of the database says. A database whose settings promise less is refused",
			},
			&cli.Int64Flag{
				Name: "max-body", Value: server.DefaultMaxBody, Destination: &s.maxBody, Sources: variable("MAX_BODY"),
				Usage: "largest request body, in `BYTES`",
			},
			&cli.StringFlag{
				Name: "unknown", Value: "reject", Destination: &s.unknown, Sources: variable("UNKNOWN"),
				Usage: "what to do with a callback for an unknown state: `reject|hold`. hold stores it until the wait is opened (not with Temporal)",
			},
			&cli.IntFlag{
				Name: "max-held", Value: sqlite.DefaultMaxHeld, Destination: &s.maxHeld, Sources: variable("MAX_HELD"),
				Usage: "largest `NUMBER` of callbacks that --unknown=hold holds in a project; more are answered with 503",
			},
			&cli.DurationFlag{
				Name: "retention", Value: 7 * 24 * time.Hour, Destination: &s.retention, Sources: variable("RETENTION"),
				Usage: "`DURATION` such as 168h for which settled waits and held callbacks are kept; 0 keeps them without limit (not with Temporal, which has its own retention)",
			},
			&cli.DurationFlag{
				Name: "drain", Value: 5 * time.Second, Destination: &s.drain, Sources: variable("DRAIN"),
				Usage: "`DURATION` for which to go on serving after SIGTERM, while /readyz answers 503",
			},
			&cli.StringFlag{
				Name: "log-level", Value: "info", Destination: &s.logLevel, Sources: variable("LOG_LEVEL"),
				Usage: "least important lines of the log: `debug|info|warn|error`; debug includes health checks",
			},
			&cli.StringFlag{
				Name: "log-format", Value: "text", Destination: &s.logFormat, Sources: variable("LOG_FORMAT"),
				Usage: "format of the log on standard error: `text|json`",
			},
			&cli.BoolFlag{
				Name: "demo", Destination: &s.demo, Sources: variable("DEMO"),
				Usage: "open a wait, print the curl command that resumes it, and print the outcome. Without --engine, the waits are deleted at exit",
			},
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return fmt.Errorf("unexpected argument %q (see flowcallbackd --help)", c.Args().First())
			}
			s.temporary = s.demo && !c.IsSet("engine")
			return serve(ctx, s, stdout, stderr)
		},
	}
	return command.Run(ctx, args)
}

// tokenCommand creates tokens for the file of --auth.
func tokenCommand(stdout io.Writer) *cli.Command {
	return &cli.Command{
		Name:        "token",
		Usage:       "create a token and its hash for the file of --auth",
		Description: "Give the token to the caller. It is printed once and not stored.",
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

// version returns the version of the build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return info.Main.Version
}
