package integration

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A program that imports package client downloads only the modules that the client links,
// and those that the tests of these modules need.
func TestModulesOfAnImporter(t *testing.T) {
	want := []string{
		// linked
		"github.com/apapsch/go-jsonmerge/v2", "github.com/cenkalti/backoff/v5", "github.com/google/uuid", "github.com/oapi-codegen/runtime",
		// tests of the above
		"github.com/oapi-codegen/nullable", "github.com/stretchr/testify", "go.yaml.in/yaml/v3",
	}
	slices.Sort(want)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	folder, cache := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"main.go": "package main\n\nimport \"github.com/flowcallback/flowcallback/client\"\n\nfunc main() { _, _ = client.New(\"\", \"\") }\n",
		"go.mod":  "module example.com/importer\n\ngo 1.26.0\n\nrequire github.com/flowcallback/flowcallback v0.0.0\n\nreplace github.com/flowcallback/flowcallback => " + root + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Modules that are on this machine already come from there.
	tidy := exec.Command("go", "mod", "tidy")
	tidy.Dir = folder
	tidy.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=-modcacherw", "GONOSUMDB=*", "GOMODCACHE="+cache,
		"GOPROXY=file://"+filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download")+","+goEnv(t, "GOPROXY"))
	if output, err := tidy.CombinedOutput(); err != nil {
		t.Fatalf("go mod tidy: %v\n%s", err, output)
	}
	var got []string
	downloads := filepath.Join(cache, "cache", "download")
	err = filepath.WalkDir(downloads, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".zip") {
			module, _, _ := strings.Cut(strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(downloads)+"/"), "/@v/")
			got = append(got, module)
		}
		return err
	})
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("an importer of package client downloads\n%s\nwant\n%s\n(%v)\nIf package client needs the new module, add it to the list.",
			strings.Join(got, "\n"), strings.Join(want, "\n"), err)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}
