package browser

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var sourceMap = regexp.MustCompile(`//# sourceMappingURL=.*\n?`)

// The files of lit-html are those of the package, without the addresses of their source maps.
func TestVendoredLibrary(t *testing.T) {
	count := 0
	folder := filepath.Join("..", "static", "lit")
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".d.ts") {
			return err
		}
		name, _ := filepath.Rel(folder, path)
		ours, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		theirs, err := os.ReadFile(filepath.Join("node_modules", "lit-html", name))
		if err != nil {
			return err
		}
		count++
		if !bytes.Equal(ours, sourceMap.ReplaceAll(theirs, nil)) {
			t.Errorf("%s differs from the package's", name)
		}
		return nil
	})
	if err != nil || count < 5 {
		t.Errorf("compared %d files: %v", count, err)
	}
}
