package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Backup writes a copy of the file at path to target, as it stands at one instant, while an
// engine may be serving from it, in this process or another. The copy is whole and synced
// when Backup returns, and target is not there before; it must not exist.
func Backup(ctx context.Context, path, target string) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return err // opening it would make it
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

// remove deletes what may not be there.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
