package main_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flowcallback/flowcallback/client"
	"github.com/flowcallback/flowcallback/gen/callback"
	"github.com/flowcallback/flowcallback/gen/waits"
	"github.com/flowcallback/flowcallback/server/engine"
	"github.com/flowcallback/flowcallback/server/engine/enginetest"
	"github.com/flowcallback/flowcallback/server/engine/postgres"
	"github.com/flowcallback/flowcallback/server/engine/sqlite"
	"github.com/flowcallback/flowcallback/server/engine/store"
	"github.com/flowcallback/flowcallback/server/servertest"
)

// TestCopy moves a server from a file to PostgreSQL: everything is there, and a follower goes on.
func TestCopy(t *testing.T) {
	cluster, name := startPostgres(t)
	url := cluster.URL(name)
	engine := file(t)
	s := servertest.Start(t, "--engine", engine, "--unknown", "hold")
	c := newClient(t, s)
	var all []waits.Wait
	for i := range 1200 { // more than one step of the copy
		ids := client.State{Workflow: fmt.Sprint("w", i%3), Run: "r", State: fmt.Sprint(i)}
		options := client.OpenOptions{Tags: []string{"é", "orders"}, Title: "May it?", Input: []byte(`{"n":1.10}`)}
		if i%4 == 0 {
			options = client.OpenOptions{OutputSchema: []byte(`{"type":"object"}`), Timeout: time.Hour}
		}
		wait, err := c.Waits.Open(t.Context(), ids, options)
		if err == nil && i%3 == 0 {
			_, err = c.Succeed(t.Context(), ids, []byte(`{"big":123456789012345678901234567890}`))
		}
		if err == nil && i%7 == 1 {
			err = c.Waits.Cancel(t.Context(), wait.WaitID, "withdrawn")
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, wait)
	}
	early := client.State{Workflow: "w", Run: "r", State: "early"}
	if _, err := c.Succeed(t.Context(), early, []byte(`{"early":true}`)); err != nil {
		t.Fatal(err)
	}
	link, err := c.Waits.Link(t.Context(), all[2].WaitID, client.LinkOptions{To: "Ines"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if all[i], err = c.Waits.Get(t.Context(), all[i].WaitID); err != nil {
			t.Fatal(err)
		}
	}
	var cursor string
	followed := 0
	for settled, err := range c.Waits.Outcomes(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if followed++; settled.Cursor != "" {
			cursor = settled.Cursor
			break
		}
	}
	s.Stop(t)

	command := exec.Command(servertest.Build(t, "server/cmd/flowcallbackd"), "copy", engine, url)
	if output, err := command.CombinedOutput(); err != nil || !strings.Contains(string(output), "copied and compared 1200 waits") {
		t.Fatalf("copy: %v\n%s", err, output)
	}
	command = exec.Command(servertest.Build(t, "server/cmd/flowcallbackd"), "copy", engine, url)
	if output, err := command.CombinedOutput(); err == nil || !strings.Contains(string(output), "already has projects") {
		t.Errorf("copy into a database with projects: %v\n%s", err, output)
	}

	s = servertest.Start(t, "--engine", url, "--unknown", "hold")
	c = newClient(t, s)
	for _, want := range all {
		if got, err := c.Waits.Get(t.Context(), want.WaitID); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("wait in the copy = %+v, %v; want %+v", got, err, want)
		}
	}
	if links, err := c.Waits.Links(t.Context(), all[2].WaitID); err != nil || len(links) != 1 || links[0].LinkID != link.LinkID {
		t.Errorf("links in the copy = %+v, %v; want %+v", links, err, link)
	}
	if wait, err := c.Waits.Open(t.Context(), early, client.OpenOptions{}); err != nil || wait.Status != waits.Success {
		t.Errorf("open of a state whose callback was held = %+v, %v; want success", wait, err)
	}
	if feed := readFeed(t, c); followed+len(after(t, c, cursor)) != len(feed)+1 {
		t.Errorf("the cursor of the file is followed by %d outcomes, want %d", len(after(t, c, cursor)), len(feed)+1-followed)
	}
}

// after returns the wait ids of the feed after a cursor, to the end that readFeed has marked.
func after(t *testing.T, c *client.Client, cursor string) (ids []string) {
	t.Helper()
	for settled, err := range c.Waits.Outcomes(t.Context(), cursor) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, settled.WaitID)
		if settled.StateID == "the end" {
			return ids
		}
	}
	return ids
}

// A program that follows opened waits goes on after the copy, also if retention had deleted the newest.
func TestCopyKeepsTheOrderOfOpening(t *testing.T) {
	cluster, name := startPostgres(t)
	path := filepath.Join(t.TempDir(), "waits.db")
	var ahead time.Duration
	file, err := sqlite.Open(t.Context(), path, sqlite.Options{
		Retention: time.Hour, Now: func() time.Time { return time.Now().Add(ahead) }, Uptime: func() time.Duration { return ahead },
	})
	if err != nil {
		t.Fatal(err)
	}
	open := func(e engine.Opener, state int) waits.Wait {
		t.Helper()
		wait, _, err := e.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: callback.StateID(fmt.Sprint(state)), TimeoutSeconds: 86400}, "")
		if err != nil {
			t.Fatal(err)
		}
		return wait
	}
	for i := range 20 {
		if wait := open(file, i); i > 0 {
			if err := file.CancelWait(t.Context(), "p", wait.WaitID, "", ""); err != nil {
				t.Fatal(err)
			}
		}
	}
	params := waits.ListWaitsParams{Order: new(waits.Oldest), Limit: new(100)}
	page, err := file.ListWaits(t.Context(), "p", params, 0)
	if err != nil || len(page.Waits) != 20 {
		t.Fatalf("ListWaits = %d waits, %v; want 20", len(page.Waits), err)
	}
	params.Cursor = page.NextCursor
	ahead = 2 * time.Hour
	if err := errors.Join(file.Forget(t.Context()), file.Close()); err != nil {
		t.Fatal(err)
	}

	source, closeSource, err := sqlite.OpenSource(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	quiet := postgres.Options{Logger: slog.New(slog.DiscardHandler)}
	err = postgres.Import(t.Context(), cluster.URL(name), source, quiet, func(string, int64, int64) {})
	if err := errors.Join(err, closeSource()); err != nil {
		t.Fatal(err)
	}
	e, err := postgres.Open(t.Context(), cluster.URL(name), quiet)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	wait := open(e, 100)
	if page, err := e.ListWaits(t.Context(), "p", params, 0); err != nil || len(page.Waits) != 1 || page.Waits[0].WaitID != wait.WaitID {
		t.Errorf("ListWaits after a cursor of the file = %+v, %v; want the new wait", page, err)
	}
}

// lying is a source that is not the same the second time, as a copy that went wrong is.
type lying struct {
	store.Source

	about string
	times map[string]int
}

func (l *lying) lies(about string, after int64) bool {
	if after == 0 {
		l.times[about]++
	}
	return l.about == about && l.times[about] > 1
}

func (l *lying) Waits(ctx context.Context, after int64) ([]store.CopiedWait, error) {
	all, err := l.Source.Waits(ctx, after)
	if l.lies("waits", after) && len(all) > 0 {
		all[0].Wait.Title = "another"
	}
	return all, err
}

func (l *lying) Held(ctx context.Context, after int64) ([]store.CopiedHeld, error) {
	all, err := l.Source.Held(ctx, after)
	if l.lies("held", after) && len(all) > 0 {
		all[0].ExecutionID = "another"
	}
	return all, err
}

func (l *lying) Links(ctx context.Context, after int64) ([]store.CopiedLink, error) {
	all, err := l.Source.Links(ctx, after)
	if l.lies("links", after) && len(all) > 0 {
		all[0].To = "another"
	}
	return all, err
}

// A copy that differs from the file is not committed.
func TestCopyCompares(t *testing.T) {
	cluster, _ := startPostgres(t)
	path := filepath.Join(t.TempDir(), "waits.db")
	file, err := sqlite.Open(t.Context(), path, sqlite.Options{HoldUnknown: true})
	if err != nil {
		t.Fatal(err)
	}
	wait, _, err := file.OpenWait(t.Context(), "p", waits.OpenWaitRequest{WorkflowID: "w", RunID: "r", StateID: "s", TimeoutSeconds: 86400}, "")
	if err == nil {
		_, err = file.CreateLink(t.Context(), "p", wait.WaitID, engine.NewLink{Digest: [32]byte{1}, Allow: []callback.Result{callback.Success}, Timeout: time.Hour})
	}
	if err == nil {
		_, err = file.Callback(t.Context(), engine.Callback{Key: engine.Key{ProjectID: "p", WorkflowID: "w", RunID: "r", StateID: "early"}, Request: enginetest.Success(`{}`)})
	}
	if err := errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
	source, closeSource, err := sqlite.OpenSource(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeSource()
	for _, about := range []string{"waits", "held", "links", ""} {
		name, err := cluster.Database()
		if err != nil {
			t.Fatal(err)
		}
		quiet := postgres.Options{Logger: slog.New(slog.DiscardHandler)}
		err = postgres.Import(t.Context(), cluster.URL(name), &lying{source, about, map[string]int{}}, quiet, func(string, int64, int64) {})
		if about == "" && err != nil || about != "" && (err == nil || !strings.Contains(err.Error(), "after the copy")) {
			t.Errorf("Import with another %s the second time: %v", about, err)
		}
	}
}

// No message has the password of a URL, whatever else is wrong with it.
func TestPasswordsAreNotShown(t *testing.T) {
	binary := servertest.Build(t, "server/cmd/flowcallbackd")
	waitsFile := filepath.Join(t.TempDir(), "waits.db")
	for _, arguments := range [][]string{
		{"--engine", "postgres://u:secret@127.0.0.1:1/db"},
		{"--engine", "postgre://u:secret@127.0.0.1:1/db"},
		{"--engine", "Postgres://u:sec@secret@127.0.0.1:1/db"},
		{"--engine", " postgres://u:secret@127.0.0.1:1/db"},
		{"--engine", "postgres://u@127.0.0.1:1/db?password=secret"},
		{"--engine", "postgres://u:secret@127.0.0.1:1/db", "check"},
		{"--engine", "postgres://u:secret@127.0.0.1:1/db", "backup", "copy.db"},
		{"--engine", "postgres:u:secret@127.0.0.1:1/db"},
		{"--engine", "postgres:/u:se//secret@127.0.0.1:1/db"},
		{"--engine", "postgres://127.0.0.1:1/db?password=my secret"},
		{"--engine", "postgres:host=127.0.0.1 port=1 password='my secret'"},
		{"copy", "postgres://u:secret@127.0.0.1:1/db", "sqlite:" + waitsFile},
		{"copy", "sqlite:" + waitsFile, "postgre://u:secret@127.0.0.1:1/db"},
		{"copy", "sqlite:" + waitsFile, "postgres://u:secret@127.0.0.1:1/db"},
		{"--durability", "standby", "--engine", "sqlite:" + waitsFile},
	} {
		output, err := exec.Command(binary, arguments...).CombinedOutput()
		if err == nil || strings.Contains(string(output), "secret") {
			t.Errorf("flowcallbackd %q: %v\n%s\nwant an error without the password", arguments, err, output)
		}
	}
}
