package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup writes a copy of the file at path, as of one instant, to target, which must not
// exist. An engine may use the file at the same time, in this process or another. Target
// appears only when the copy is complete and synced. Only its owner can read it.
func Backup(ctx context.Context, path, target string) (err error) {
	path, err = resolve(path)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s exists: name a file that does not", target), err)
	}
	c, err := connect(path, DefaultBusyTimeout)
	if err != nil {
		return explain(path, err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	c.SetInterrupt(ctx)
	defer c.SetInterrupt(context.Background())
	if _, err := c.version(); err != nil {
		return errors.Join(ctx.Err(), explain(path, err))
	}
	partial, err := os.CreateTemp(filepath.Dir(target), filepath.Base(target)+".partial-*") // 0600
	if err != nil {
		return err
	}
	err = errors.Join(partial.Close(), c.execute("VACUUM INTO ?", partial.Name()))
	if err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("writing %s: %w", partial.Name(), err), remove(partial.Name()))
	}
	if err := syncFile(partial.Name()); err != nil {
		return errors.Join(err, remove(partial.Name()))
	}
	if err := os.Rename(partial.Name(), target); err != nil {
		return errors.Join(err, remove(partial.Name()))
	}
	return syncFile(filepath.Dir(target))
}
