package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/flowcallback/flowcallback/client"
)

// follower hands outcomes on.
type follower struct {
	app                  *app
	after, cursorFile    string
	workflow             string
	program, destination string
	secret               []byte
	http                 *http.Client
}

func (a *app) follow() *cli.Command {
	f := &follower{app: a, http: &http.Client{Timeout: 30 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	var secret string
	return &cli.Command{
		Name:  "follow",
		Usage: "print waits as they leave waiting, until interrupted, and hand them on",
		Description: `Prints one line for each wait that was settled, expired or cancelled, in the order in which that
happened. With --json, the last object of each response of the server has a member "cursor". After
everything up to it was processed, --after continues from there. Continuing from an earlier cursor
repeats outcomes and skips none. Exits with 9 if outcomes after the cursor are gone, or the cursor is of
another history: of a server before its backup was restored, for example. Without --after it starts
again.

--cursor-file keeps the cursor in a file: every outcome is then handed on at least once, however often
the command is started again.

--exec runs a command of the shell for each outcome, with the outcome as JSON on its standard input. A
command that fails ends this one; the cursor stays before that outcome.

--forward-to sends each outcome as a POST, in the form of Standard Webhooks (standardwebhooks.com): the
header webhook-id is the id of the wait, and webhook-signature is made with the secret in
FLOWCALLBACK_WEBHOOK_SECRET, such as whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw. It is sent again, with growing
pauses, until the answer is a 2xx status.

Examples:
  flowcallback waits follow --after now
  flowcallback --json waits follow --after 127 | jq -r '.status + " " + .state_id'
  flowcallback waits follow --cursor-file orders.cursor --workflow-id order-approval --exec ./on-outcome
  flowcallback waits follow --cursor-file hooks.cursor --forward-to https://flows.example.com/hook`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "after", Destination: &f.after, Usage: "`CURSOR` to continue from, or now for outcomes to come (default: the oldest outcome that the server keeps)"},
			&cli.StringFlag{Name: "cursor-file", Destination: &f.cursorFile, Usage: "`FILE` that keeps the cursor; if it exists, it wins over --after"},
			&cli.StringFlag{Name: "workflow-id", Destination: &f.workflow, Usage: "only waits of the flow with this `ID`"},
			&cli.StringFlag{Name: "exec", Destination: &f.program, Usage: "`COMMAND` of the shell to run for each outcome"},
			&cli.StringFlag{Name: "forward-to", Destination: &f.destination, Usage: "`URL` to send each outcome to"},
		},
		Action: noArguments(func(ctx context.Context, c *cli.Command) (err error) {
			if err := refuseEmpty(c); err != nil {
				return err
			}
			secret = os.Getenv("FLOWCALLBACK_WEBHOOK_SECRET")
			if f.secret, err = webhookSecret(secret); err != nil {
				return fmt.Errorf("%w: FLOWCALLBACK_WEBHOOK_SECRET: %w", errUsage, err)
			}
			if f.destination != "" && !strings.HasPrefix(f.destination, "https://") && !strings.HasPrefix(f.destination, "http://") {
				return fmt.Errorf("%w: --forward-to %s: want a URL such as https://flows.example.com/hook", errUsage, f.destination)
			}
			return f.run(ctx)
		}),
	}
}

// webhookSecret returns the bytes of a secret of Standard Webhooks.
func webhookSecret(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil || len(secret) < 16 {
		return nil, errors.New("want whsec_ and at least 16 bytes in base64")
	}
	return secret, nil
}

func (f *follower) run(ctx context.Context) error {
	if f.cursorFile != "" {
		switch kept, err := os.ReadFile(f.cursorFile); {
		case err == nil:
			if f.after = strings.TrimSpace(string(kept)); f.after == "" {
				return fmt.Errorf("%w: --cursor-file %s is empty: delete it, or write a cursor into it", errUsage, f.cursorFile)
			}
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%w: --cursor-file: %w", errUsage, err)
		}
	}
	c, err := f.app.client()
	if err != nil {
		return err
	}
	if f.after == "now" { // as of this start, also if this run ends before the first outcome
		if f.after, err = c.Waits.Now(ctx); err == nil && f.cursorFile != "" {
			err = keep(f.cursorFile, f.after)
		}
		if err != nil {
			return err
		}
	}
	for settled, err := range c.Waits.Outcomes(ctx, f.after) {
		if err != nil {
			return err
		}
		if f.workflow == "" || settled.WorkflowID == f.workflow {
			if err := f.handOn(ctx, settled); err != nil {
				return err
			}
		}
		if settled.Cursor != "" && f.cursorFile != "" {
			if err := keep(f.cursorFile, settled.Cursor); err != nil {
				return fmt.Errorf("%w: --cursor-file: %w", errUsage, err)
			}
		}
	}
	return nil
}

func (f *follower) handOn(ctx context.Context, settled client.Settled) error {
	outcome, err := json.Marshal(settled.Wait)
	if err != nil {
		return err
	}
	if f.program != "" {
		command := exec.CommandContext(ctx, "sh", "-c", f.program)
		command.WaitDelay = 3 * time.Second // for what the command has started and left behind
		command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(outcome), f.app.stdout, f.app.stderr
		if err := command.Run(); err != nil {
			return fmt.Errorf("%w: --exec for wait %s: %w", errHandOn, settled.WaitID, err)
		}
	}
	if f.destination != "" {
		if err := f.forward(ctx, settled.WaitID, outcome); err != nil {
			return err
		}
	}
	if f.program != "" {
		return nil // it prints what it wants to
	}
	return f.app.printSettled(settled)
}

// forward sends an outcome until it is accepted.
func (f *follower) forward(ctx context.Context, id string, outcome []byte) error {
	const longest = time.Minute
	for pause := time.Second; ; pause = min(2*pause, longest) {
		err := f.post(ctx, id, outcome)
		if err == nil {
			return nil
		}
		if pause == time.Second {
			fmt.Fprintf(f.app.stderr, "flowcallback: %s: wait %s: %v; sending again until it is accepted\n", f.destination, id, err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *follower) post(ctx context.Context, id string, outcome []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, f.destination, bytes.NewReader(outcome))
	if err != nil {
		return err
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "flowcallback/"+version())
	request.Header.Set("webhook-id", id)
	request.Header.Set("webhook-timestamp", now)
	if f.secret != nil {
		mac := hmac.New(sha256.New, f.secret)
		fmt.Fprintf(mac, "%s.%s.%s", id, now, outcome)
		request.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	answer, err := f.http.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // so that the connection can be used again
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("answered %s", answer.Status)
	}
	return nil
}

// keep replaces the file with the cursor, durably.
func keep(path, cursor string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = file.WriteString(cursor + "\n")
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}
