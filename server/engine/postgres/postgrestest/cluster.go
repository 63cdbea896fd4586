// Package postgrestest starts real PostgreSQL servers for tests.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// role is the owner of the clusters.
const role = "flowcallback"

// startTimeout limits how long a server may take to accept connections.
const startTimeout = time.Minute

// A Cluster is a PostgreSQL server of this machine, which belongs to an unprivileged user.
type Cluster struct {
	Port    int
	folder  string
	bin     string
	account *syscall.SysProcAttr
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	output  bytes.Buffer
	names   atomic.Int64
}

// Start creates a cluster and starts its server on a free port. settings are lines of
// postgresql.conf.
func Start(settings ...string) (c *Cluster, err error) {
	for range tries {
		var port int
		if port, err = freePort(); err == nil {
			c, err = StartOn(port, settings...)
		}
		if err == nil || !strings.Contains(err.Error(), "Address already in use") {
			break
		}
	}
	return c, err
}

// StartOn is Start with a port.
func StartOn(port int, settings ...string) (*Cluster, error) {
	c, err := newCluster(port)
	if err != nil {
		return nil, err
	}
	if err := c.run("initdb", "-D", c.data(), "-U", role, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	lines := append([]string{"max_connections = 200", "shared_buffers = 256MB", "max_wal_size = 8GB", "autovacuum_naptime = 5s", "max_wal_senders = 8"}, settings...)
	if err := os.WriteFile(filepath.Join(c.data(), "postgresql.auto.conf"), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	if err := c.own(); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	if err := c.Begin(); err != nil {
		return nil, errors.Join(err, c.Remove())
	}
	return c, nil
}

// newCluster finds the programs, and makes a folder.
func newCluster(port int) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "postgres-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{Port: port, folder: folder, bin: bin, account: &syscall.SysProcAttr{}}
	if os.Getuid() == 0 { // PostgreSQL does not run as root
		account, err := user.Lookup("postgres")
		if err != nil {
			return nil, err
		}
		uid, _ := strconv.Atoi(account.Uid) // a number, on every system that has PostgreSQL
		gid, _ := strconv.Atoi(account.Gid)
		c.account.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // as above
	}
	return c, c.own()
}

// own gives the files to the server's user.
func (c *Cluster) own() error {
	if c.account.Credential == nil {
		return nil
	}
	return filepath.WalkDir(c.folder, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, int(c.account.Credential.Uid), int(c.account.Credential.Gid))
	})
}

// binaries returns the folder with the programs of the newest PostgreSQL.
func binaries() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is valid
	if len(found) == 0 {
		return "", errors.New("PostgreSQL is not installed: make postgres-test installs it")
	}
	return filepath.Dir(slices.Max(found)), nil
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (c *Cluster) data() string { return filepath.Join(c.folder, "data") }

func (c *Cluster) command(name string, arguments ...string) *exec.Cmd {
	command := exec.Command(filepath.Join(c.bin, name), arguments...)
	command.SysProcAttr, command.Dir = c.account, c.folder
	return command
}

func (c *Cluster) run(name string, arguments ...string) error {
	if output, err := c.command(name, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, output)
	}
	return nil
}

// Begin starts the server, and returns when it accepts connections.
func (c *Cluster) Begin() error {
	c.process = c.command("postgres", "-D", c.data(), "-p", strconv.Itoa(c.Port), "-c", "listen_addresses=127.0.0.1", "-k", c.folder)
	c.process.Stderr = &c.output
	c.process.SysProcAttr = &syscall.SysProcAttr{Credential: c.account.Credential, Setpgid: true}
	if err := c.process.Start(); err != nil {
		return err
	}
	process := c.process
	c.ended = make(chan struct{})
	go func(ended chan struct{}) {
		_ = process.Wait() // its output says why
		close(ended)
	}(c.ended)
	for end := time.Now().Add(startTimeout); ; {
		err := c.run("pg_isready", "-q", "-h", "127.0.0.1", "-p", strconv.Itoa(c.Port))
		select {
		case <-c.ended: // another server may use the port
			return fmt.Errorf("the server ended: %s", c.output.String())
		default:
		}
		if err == nil && c.isOurs() {
			return nil
		}
		if time.Now().After(end) {
			return errors.Join(err, fmt.Errorf("the server did not start: %s", c.output.String()))
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-c.ended:
			return fmt.Errorf("the server ended: %s", c.output.String())
		}
	}
}

// isOurs reports whether the server that listens is this one: it has written its port into its folder.
func (c *Cluster) isOurs() bool {
	text, err := os.ReadFile(filepath.Join(c.data(), "postmaster.pid"))
	return err == nil && strings.Contains(string(text), "ready")
}

// Kill ends all processes of the server at once, as a crash does.
func (c *Cluster) Kill() {
	if c.process == nil {
		return
	}
	_ = syscall.Kill(-c.process.Process.Pid, syscall.SIGKILL) // it may have ended
	<-c.ended
	c.process = nil
}

// Process returns the id of the server's process group.
func (c *Cluster) Process() int { return c.process.Process.Pid }

// Remove ends the server and deletes the cluster.
func (c *Cluster) Remove() error {
	c.Kill()
	return os.RemoveAll(c.folder)
}

// Save copies the disk of the server, which it stops meanwhile.
func (c *Cluster) Save() (folder string, err error) {
	c.Kill()
	folder = filepath.Join(c.folder, "saved")
	if output, err := exec.Command("cp", "-a", c.data(), folder).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, output)
	}
	return folder, c.Begin()
}

// Restore puts a copy of the disk back, and starts the server with it.
func (c *Cluster) Restore(folder string) error {
	c.Kill()
	if err := os.RemoveAll(c.data()); err != nil {
		return err
	}
	if err := os.Rename(folder, c.data()); err != nil {
		return err
	}
	return c.Begin()
}

// Standby creates a standby of the server and starts it. name is its application_name.
func (c *Cluster) Standby(name string) (*Cluster, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := newCluster(port)
	if err != nil {
		return nil, err
	}
	source := fmt.Sprintf("host=127.0.0.1 port=%d user=%s application_name=%s", c.Port, role, name)
	if err := s.run("pg_basebackup", "-d", source, "-D", s.data(), "-R", "-X", "stream", "-c", "fast", "--no-sync"); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	if err := s.Begin(); err != nil {
		return nil, errors.Join(err, s.Remove())
	}
	return s, nil
}

// Promote makes a standby a server that can be written.
func (c *Cluster) Promote() error { return c.run("pg_ctl", "promote", "-w", "-D", c.data()) }

// URL returns the URL of a database of the cluster.
func (c *Cluster) URL(database string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s", role, c.Port, database)
}

// SocketURL returns the URL of a database through a port of this machine, and through the socket of the cluster if that
// fails.
func (c *Cluster) SocketURL(database string, port int) string {
	return fmt.Sprintf("postgres://%s@/%s?host=127.0.0.1,%s&port=%d,%d&sslmode=disable", role, database, c.folder, port, c.Port)
}

// Database creates an empty database and returns its name.
func (c *Cluster) Database() (string, error) {
	name := fmt.Sprintf("test%d", c.names.Add(1))
	return name, c.Execute("postgres", "CREATE DATABASE "+name)
}

// Execute runs a statement in a database.
func (c *Cluster) Execute(database, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connection, err := pgx.Connect(ctx, c.URL(database))
	if err != nil {
		return err
	}
	defer connection.Close(ctx)
	_, err = connection.Exec(ctx, statement)
	return err
}
