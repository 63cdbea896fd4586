package sqlite

import "github.com/ncruces/go-sqlite3/vfs"

// vfsName is the name of the file layer that connections use: the driver's own, without memory
// mapping. The driver (v0.37.0) crashes in a checkpoint of a file with checksums if its layer
// offers that, which it does not use with checksums.
const vfsName = "flowcallback"

func init() {
	if own, ok := vfs.Find("").(vfs.VFSFilename); ok {
		vfs.Register(vfsName, fileLayer{own})
	}
}

type fileLayer struct{ vfs.VFSFilename }

// OpenFilename implements vfs.VFSFilename.
func (l fileLayer) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	opened, flags, err := l.VFSFilename.OpenFilename(name, flags)
	if f, ok := opened.(databaseFile); ok && err == nil {
		opened = file{f}
	}
	return opened, flags, err
}

// databaseFile is what a file of the driver's layer offers, but for memory mapping.
type databaseFile interface {
	vfs.FileLockState
	vfs.FileHasMoved
	vfs.FileSizeHint
	vfs.FilePersistWAL
	vfs.FilePowersafeOverwrite
	vfs.FileSharedMemory
}

type file struct{ databaseFile }
