package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/client/precheck"
)

const introduction = `flowcallback resumes a flow that waits for a callback. It checks every request against the contract
before it sends it, and retries while the server is busy or unreachable. Retrying is safe: a flow is
resumed once.

A flag wins over its environment variable, which wins over the file of --config. That file is YAML
with the names of the flags below, such as "endpoint: http://127.0.0.1:8080".

Credentials are never flags. The first of these that exists is used:
  FLOWCALLBACK_TOKEN                        a token, sent as X-Auth-Token
  HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK    an access key and its secret, to sign requests with;
                                            temporary keys need HUAWEICLOUD_SDK_SECURITY_TOKEN
  ~/.huaweicloud/credentials                the same, as ak, sk and security_token in the section
                                            [basic], and project_id; another file can be set with
                                            HUAWEICLOUD_SDK_CREDENTIALS_FILE
A server on loopback may need none.

Exit status:
`

const examples = `
Examples:
  flowcallback succeed --workflow-id order-approval --run-id R --state-id S --output '{"approved":true}'
  flowcallback fail --workflow-id order-approval --run-id R --state-id S --error "payment declined"
  flowcallback waits open --workflow-id order-approval --run-id R --state-id S --timeout 2h
  flowcallback waits follow --json | jq .status
  flowcallback doctor`

// app is a run of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer

	endpoint, projectID, config string
	attempt, retry              time.Duration
	retryNotFound               time.Duration
	json, wide                  bool
	caCertificate               string
	args                        []string // of the command line

	credentials     []client.Option
	credentialsFrom string // where the credentials were found, for doctor
	authenticate    func(r *http.Request, body []byte) error
}

// run executes the command line until it is done or ctx ends.
func (a *app) run(ctx context.Context, args []string) error {
	cli.HelpPrinter, a.args = printHelp, args
	command := &cli.Command{
		Name:            "flowcallback",
		Usage:           "call back a flow that waits",
		Description:     introduction + exitHelp() + examples,
		Version:         version(),
		Reader:          a.stdin,
		Writer:          a.stdout,
		ErrWriter:       a.stderr,
		HideHelpCommand: true,
		ExitErrHandler:  func(context.Context, *cli.Command, error) {}, // main exits
		OnUsageError:    usageError,
		Before:          a.prepare,
		Action:          noCommand,
		Flags: []cli.Flag{
			&cli.StringFlag{
				Name: "endpoint", Destination: &a.endpoint, Sources: cli.EnvVars("FLOWCALLBACK_ENDPOINT"),
				Usage: "`URL` of the service, such as https://functiongraph.cn-north-4.myhuaweicloud.com or http://127.0.0.1:8080",
			},
			&cli.StringFlag{
				Name: "project-id", Destination: &a.projectID, Sources: cli.EnvVars("FLOWCALLBACK_PROJECT_ID", "HUAWEICLOUD_SDK_PROJECT_ID"),
				Usage: "`ID` of the project that the flow belongs to",
			},
			&cli.StringFlag{
				Name: "config", Destination: &a.config, Sources: cli.EnvVars("FLOWCALLBACK_CONFIG"),
				Usage: "`FILE` with values of flags (default: flowcallback/config.yaml in the user's configuration folder, if it exists)",
			},
			&cli.DurationFlag{
				Name: "attempt-timeout", Value: client.DefaultTimeout, Destination: &a.attempt, Sources: cli.EnvVars("FLOWCALLBACK_ATTEMPT_TIMEOUT"),
				Usage: "`DURATION` limit of one attempt",
			},
			&cli.DurationFlag{
				Name: "retry", Value: client.DefaultRetry, Destination: &a.retry, Sources: cli.EnvVars("FLOWCALLBACK_RETRY"),
				Usage: "`DURATION` for which to retry while the server is busy or unreachable; 0 makes one attempt",
			},
			&cli.StringFlag{
				Name: "cacert", Destination: &a.caCertificate, Sources: cli.EnvVars("FLOWCALLBACK_CACERT"),
				Usage: "`FILE` with certificates (PEM) that sign the server's, besides those of the system",
			},
			&cli.BoolFlag{
				Name: "json", Destination: &a.json, Sources: cli.EnvVars("FLOWCALLBACK_JSON"),
				Usage: "print JSON, one object a line; errors too, on standard error",
			},
		},
		Commands: []*cli.Command{a.succeed(), a.fail(), a.waits(), a.held(), a.whoami(), a.doctor(), a.conformance(), a.completion(), a.version()},
	}
	for _, arg := range args {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("%w: argument %q is not UTF-8", errUsage, arg)
		}
	}
	if len(args) > 2 && args[1] == completeCommand {
		return a.complete(command, args[3:])
	}
	if len(args) > 1 && args[1] == "help" {
		args = append(append(args[:1:1], args[2:]...), "--help")
	}
	if err := knowsCommand(command, args[1:]); err != nil {
		return err
	}
	forAll(command, func(c *cli.Command) { c.OnUsageError = usageError })
	return command.Run(ctx, args)
}

// prepare reads the configuration file and the credentials.
func (a *app) prepare(ctx context.Context, c *cli.Command) (context.Context, error) {
	if err := a.readConfig(c); err != nil {
		return ctx, err
	}
	return ctx, a.readCredentials()
}

// forAll calls do with a command and all commands below it.
func forAll(command *cli.Command, do func(*cli.Command)) {
	do(command)
	for _, sub := range command.Commands {
		forAll(sub, do)
	}
}

// knowsCommand reports an unknown command before the flags after it are parsed.
func knowsCommand(command *cli.Command, args []string) error {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || len(command.Commands) == 0 {
		return nil
	}
	sub := command.Command(args[0])
	if sub == nil {
		return fmt.Errorf("%w: unknown command %q%s (see %s --help)", errUsage, args[0], suggestCommand(command, args[0]), command.Name)
	}
	return knowsCommand(sub, args[1:])
}

func usageError(_ context.Context, c *cli.Command, err error, _ bool) error {
	if text := suggestFlag(c, err); text != "" {
		return fmt.Errorf("%w: %s (see %s --help)", errUsage, text, c.FullName())
	}
	return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, c.FullName())
}

// noCommand handles a command line without a command, or with an unknown one.
func noCommand(_ context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return fmt.Errorf("%w: unknown command %q (see %s --help)", errUsage, c.Args().First(), c.FullName())
	}
	return cli.ShowSubcommandHelp(c)
}

// noArguments wraps an action that takes no arguments.
func noArguments(action cli.ActionFunc) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		if c.Args().Present() {
			return fmt.Errorf("%w: unexpected argument %q (see %s --help)", errUsage, c.Args().First(), c.FullName())
		}
		return action(ctx, c)
	}
}

// client returns a client with the configuration of the flags.
func (a *app) client() (*client.Client, error) {
	if a.endpoint == "" {
		return nil, fmt.Errorf("%w: --endpoint is missing; FLOWCALLBACK_ENDPOINT sets it too (see flowcallback --help)", errUsage)
	}
	if a.projectID == "" {
		return nil, fmt.Errorf("%w: --project-id is missing; FLOWCALLBACK_PROJECT_ID sets it too (see flowcallback --help)", errUsage)
	}
	check, err := precheck.New()
	if err != nil {
		return nil, err
	}
	options := []client.Option{
		client.WithCheck(check), client.WithTimeout(a.attempt), client.WithRetry(a.retry), client.WithRetryNotFound(a.retryNotFound), client.WithUserAgent("flowcallback/" + version()),
		client.WithNotify(a.reportRetry()),
	}
	if a.caCertificate != "" {
		transport, err := trusting(a.caCertificate)
		if err != nil {
			return nil, fmt.Errorf("%w: --cacert: %w", errUsage, err)
		}
		options = append(options, client.WithHTTPClient(&http.Client{Transport: transport}))
	}
	c, err := client.New(a.endpoint, a.projectID, append(options, a.credentials...)...)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	return c, nil
}

// trusting returns a transport that also trusts the certificates in a file.
func trusting(path string) (*http.Transport, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, err
	}
	certificates, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !pool.AppendCertsFromPEM(certificates) {
		return nil, fmt.Errorf("%s has no certificate in PEM", path)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}

func (a *app) version() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Action: noArguments(func(context.Context, *cli.Command) error { return write(a.stdout, "flowcallback", version()) }),
	}
}

// reportRetry reports the first retry on standard error, with its cause.
func (a *app) reportRetry() func(error, time.Duration) {
	var once sync.Once
	return func(cause error, left time.Duration) {
		once.Do(func() {
			fmt.Fprintf(a.stderr, "flowcallback: %s: %v; retrying for up to %s\n", a.endpoint, plain(cause.Error()), left.Round(time.Second))
		})
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
