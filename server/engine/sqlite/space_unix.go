//go:build linux || darwin

package sqlite

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that are free in a folder's file system.
func freeSpace(folder string) (free int64, ok bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:gosec,unconvert // the types differ between systems
}
