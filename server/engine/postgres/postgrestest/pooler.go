package postgrestest

import (
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
	port    int
	cluster *Cluster
	process *exec.Cmd
	folder  string
}

// StartPooler starts a pooler for all databases of a cluster.
func StartPooler(c *Cluster) (*Pooler, error) {
	folder, err := os.MkdirTemp("", "pgbouncer-")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	configuration := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 500
user = postgres
`, c.Port, port)
	// auth_type any needs the user of the databases.
	configuration = strings.Replace(configuration, "port=", "user="+role+" port=", 1)
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
	process := exec.Command(path, "-q", file)
	process.SysProcAttr = c.account
	if err := process.Start(); err != nil {
		return nil, fmt.Errorf("%w: make postgres-test installs it", err)
	}
	p := &Pooler{port, c, process, folder}
	for end := time.Now().Add(startTimeout); ; {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return p, connection.Close()
		}
		if time.Now().After(end) {
			p.Stop()
			return nil, err
		}
		<-time.After(20 * time.Millisecond)
	}
}

// URL returns the URL through the pooler for one of the cluster.
func (p *Pooler) URL(url string) string {
	return strings.Replace(url, fmt.Sprintf(":%d/", p.cluster.Port), fmt.Sprintf(":%d/", p.port), 1)
}

// Stop ends the pooler.
func (p *Pooler) Stop() {
	_ = p.process.Process.Signal(syscall.SIGKILL) // it may have ended
	_ = p.process.Wait()                          // killed
	_ = os.RemoveAll(p.folder)                    // a few bytes
}
