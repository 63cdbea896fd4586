package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A Pooler is a pgbouncer in transaction mode.
type Pooler struct {
	Port    int
	cluster *Cluster
	process *exec.Cmd
	ended   chan struct{} // closed when the process has ended
	folder  string
	output  bytes.Buffer // complete when it has ended
}

// tries is how often a program is started on another port, because somebody else has just taken the first.
const tries = 5

// StartPooler starts a pooler for all databases of a cluster.
func StartPooler(c *Cluster) (p *Pooler, err error) {
	for range tries {
		if p, err = startPooler(c); err == nil {
			return p, nil
		}
	}
	return nil, err
}

func startPooler(c *Cluster) (*Pooler, error) {
	folder, err := os.MkdirTemp("", "pgbouncer-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	configuration := fmt.Sprintf(`[databases]
* = user=%s host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
log_connections = 0
log_disconnections = 0
`, role, c.Port, port)
	file := filepath.Join(folder, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(configuration), 0o644); err != nil { //nolint:gosec // another user reads it
		return nil, err
	}
	if err := os.Chmod(folder, 0o755); err != nil { //nolint:gosec // as above
		return nil, err
	}
	path, err := exec.LookPath("pgbouncer")
	if err != nil {
		path = "/usr/sbin/pgbouncer"
	}
	process := exec.Command(path, file)
	p := &Pooler{Port: port, cluster: c, process: process, ended: make(chan struct{}), folder: folder}
	process.SysProcAttr, process.Stderr = c.account, &p.output
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("%w: make postgres-test installs it", err)
	}
	go func() {
		_ = process.Wait() // it is killed
		close(p.ended)
	}()
	for end := time.Now().Add(startTimeout); ; {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			_ = connection.Close()
		}
		select {
		case <-p.ended:
			return nil, p.Stop()
		case <-time.After(50 * time.Millisecond): // it would have ended by now
		}
		if err == nil {
			return p, nil
		}
		if time.Now().After(end) {
			return nil, errors.Join(err, p.Stop())
		}
	}
}

// URL returns the URL through the pooler for one of the cluster.
func (p *Pooler) URL(url string) string {
	return strings.Replace(url, fmt.Sprintf(":%d/", p.cluster.Port), fmt.Sprintf(":%d/", p.Port), 1)
}

// Stop ends the pooler. It returns an error if the pooler has crashed.
func (p *Pooler) Stop() error {
	defer os.RemoveAll(p.folder)
	select {
	case <-p.ended:
		return fmt.Errorf("pgbouncer ended: %s", p.output.String())
	default:
	}
	_ = p.process.Process.Signal(syscall.SIGKILL) // it may have ended
	<-p.ended
	return nil
}
