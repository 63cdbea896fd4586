//go:build !linux && !darwin

package sqlite

// freeSpace is not implemented here.
func freeSpace(string) (free int64, ok bool) { return 0, false }
