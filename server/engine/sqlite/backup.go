package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Backup writes a copy of the file at path, as of one instant, to target, which must not
// exist. An engine may use the file at the same time, in this process or another. Target
// appears only when the copy is complete and synced.
func Backup(ctx context.Context, path, target string) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err // connect would create it
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s exists: name a file that does not", target), err)
	}
	conn, err := connect(path, 5*time.Second)
	if err != nil {
		return explain(path, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	conn.SetInterrupt(ctx.Done())
	if _, err := versionOf(conn); err != nil {
		return explain(path, err)
	}
	partial := target + ".partial"
	if err := remove(partial); err != nil {
		return err
	}
	if err := execute(conn, "VACUUM INTO ?", nil, partial); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("writing %s: %w", partial, err), remove(partial))
	}
	if err := syncFile(partial); err != nil {
		return errors.Join(err, remove(partial))
	}
	return os.Rename(partial, target)
}

func syncFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// remove deletes a file that may not exist.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
