package postgrestest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync/atomic"
)

// A Proxy passes connections on to a cluster, and drops answers.
type Proxy struct {
	listener net.Listener
	target   string
	drop     atomic.Pointer[func(answer []byte) bool]
	swallow  atomic.Pointer[func(answer []byte) bool]
	cancels  atomic.Int64
}

// cancelRequest is the code of a request to cancel what another connection does (PostgreSQL, "Message
// Formats").
const cancelRequest = 80877102

// Cancels returns how many such requests were passed on.
func (p *Proxy) Cancels() int64 { return p.cancels.Load() }

// StartProxy starts a proxy for a port of this machine, such as that of a cluster.
func StartProxy(port int) (*Proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: listener, target: fmt.Sprintf("127.0.0.1:%d", port)}
	p.Drop(func([]byte) bool { return false })
	p.Swallow(func([]byte) bool { return false })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(near)
		}
	}()
	return p, nil
}

// Drop sets a function that says of each answer whether it is dropped, with its connection.
func (p *Proxy) Drop(drop func(answer []byte) bool) { p.drop.Store(&drop) }

// Swallow sets a function that says of each answer whether it is dropped. Unlike with Drop, the connection stays.
func (p *Proxy) Swallow(swallow func(answer []byte) bool) { p.swallow.Store(&swallow) }

// URL returns the URL of a database through the proxy.
func (p *Proxy) URL(database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s", role, p.listener.Addr(), database)
}

// Port returns the port of the proxy.
func (p *Proxy) Port() int { return p.listener.Addr().(*net.TCPAddr).Port }

// Stop refuses further connections.
func (p *Proxy) Stop() { _ = p.listener.Close() }

func (p *Proxy) serve(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer far.Close()
	go func() {
		first := make([]byte, 8<<10)
		n, _ := near.Read(first) // an error ends the copying, too
		if n >= 8 && binary.BigEndian.Uint32(first[4:]) == cancelRequest {
			p.cancels.Add(1)
		}
		_, _ = far.Write(first[:n])
		_, _ = io.Copy(far, near) // ends with either
		_ = far.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := far.Read(buffer)
		if err != nil || (*p.drop.Load())(buffer[:n]) {
			return
		}
		if (*p.swallow.Load())(buffer[:n]) {
			continue
		}
		if _, err := near.Write(buffer[:n]); err != nil {
			return
		}
	}
}
