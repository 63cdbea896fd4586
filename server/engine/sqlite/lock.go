package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// A lockedFile is the file of an engine, which no other engine can open. It finds out if
// another file takes its place.
type lockedFile struct {
	path string
	lock *flock.Flock
	info os.FileInfo
}

// errReplaced: the path no longer leads to the file that the engine has open.
var errReplaced = errors.New("it was replaced or removed while the server has it open: put it back, or restart the server")

// lockFile creates the file if it does not exist, readable for its owner only, and locks it.
func lockFile(path string) (*lockedFile, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = file.Close()
	}
	if errors.Is(err, os.ErrPermission) {
		file, err = os.Open(path) // SQLite will say what cannot be written
		if err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s cannot be opened: check that its folder exists and that the server's user may write it: %w", path, err)
	}
	l := &lockedFile{path: path, lock: flock.New(lockPath(path), flock.SetFlag(os.O_CREATE|os.O_RDONLY), flock.SetPermissions(0o600))}
	locked, err := l.lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s cannot be locked: %w", path, err)
	case !locked:
		return nil, fmt.Errorf("%s is open in another process: two servers cannot share a file; stop the other one or name another file", path)
	}
	l.info, err = os.Stat(path)
	lockedInfo, lockErr := l.lock.Stat()
	switch {
	case err != nil || lockErr != nil:
		return nil, errors.Join(err, lockErr, l.unlock())
	case lockPath(path) == path && !os.SameFile(l.info, lockedInfo): // replaced by a migration, just now
		return nil, errors.Join(fmt.Errorf("%s is being replaced by another process: try again", path), l.unlock())
	}
	return l, nil
}

// lockPath returns the file to lock for the file at path: the file itself, so that it
// is one lock by whatever name the file is reached. On Windows such a lock would keep SQLite out.
func lockPath(path string) string {
	if runtime.GOOS == "windows" {
		return path + ".lock"
	}
	return path
}

func (l *lockedFile) unlock() error { return l.lock.Close() }

// check returns errReplaced if the path leads to another file.
func (l *lockedFile) check() error {
	if info, err := os.Stat(l.path); err != nil || !os.SameFile(info, l.info) {
		return errReplaced
	}
	return nil
}

// resolve returns the path of a file without symbolic links.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path)) // the file does not exist yet
	if err != nil {
		return "", fmt.Errorf("%s cannot be opened: check that its folder exists: %w", path, err)
	}
	return filepath.Join(folder, filepath.Base(path)), nil
}
