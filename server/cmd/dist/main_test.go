package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var dist = flag.Bool("dist", false, "build archives; it takes a minute or two")

// imageTarget matches an image in a Markdown document.
var imageTarget = regexp.MustCompile(`!\[[^\]]*\]\(([^)]+)\)`)

// An archive is reproducible. It contains static binaries, an SBOM, and the operations files.
func TestDist(t *testing.T) {
	if !*dist {
		t.Skip("run with -dist (make dist-test)")
	}
	t.Chdir(filepath.Join("..", "..", ".."))
	var archives [2][]byte
	for i := range archives {
		target := filepath.Join(t.TempDir(), "dist")
		if err := run(t.Context(), target, []string{"linux/amd64"}, io.Discard); err != nil {
			t.Fatal(err)
		}
		matches, err := filepath.Glob(filepath.Join(target, "flowcallback-*-linux-amd64.tar.gz"))
		if err != nil || len(matches) != 1 {
			t.Fatalf("archives = %v, %v; want one", matches, err)
		}
		if archives[i], err = os.ReadFile(matches[0]); err != nil {
			t.Fatal(err)
		}
		sums, err := os.ReadFile(filepath.Join(target, "SHA256SUMS"))
		if want := fmt.Sprintf("%x  %s\n", sha256.Sum256(archives[i]), filepath.Base(matches[0])); err != nil || string(sums) != want {
			t.Errorf("SHA256SUMS = %q, %v; want %q", sums, err, want)
		}
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two runs built different archives, want identical bytes")
	}
	files := unpack(t, archives[0])
	for _, name := range []string{
		"flowcallbackd", "flowcallback", "LICENSE", "README.md", "sbom.cdx.json",
		"server/operations/flowcallbackd.service", "server/operations/alerts.yaml", "server/operations/dashboard.json", "server/auth/example.yaml",
		"completions/flowcallback.bash", "completions/flowcallback.zsh", "completions/flowcallback.fish", "openapi/callback.yaml", "openapi/waits.yaml", "openapi/published/callback.json", "openapi/published/waits.yaml", "openapi/published/waits.json",
	} {
		if len(files[name]) == 0 {
			t.Errorf("archive does not contain %s, or it is empty", name)
		}
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".md") {
			for _, image := range imageTarget.FindAllStringSubmatch(string(text), -1) {
				if target := path.Join(path.Dir(name), image[1]); len(files[target]) == 0 {
					t.Errorf("%s refers to image %s, but the archive does not contain it", name, target)
				}
			}
		}
	}
	binary, err := elf.NewFile(bytes.NewReader(files["flowcallbackd"]))
	if err != nil {
		t.Fatal(err)
	}
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) != 0 {
		t.Errorf("flowcallbackd imports libraries %v, %v; want a static binary", libraries, err)
	}
	info, err := buildinfo.Read(bytes.NewReader(files["flowcallbackd"]))
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct{ Components []component }
	if err := json.Unmarshal(files["sbom.cdx.json"], &sbom); err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, c := range sbom.Components {
		listed[c.Name+"@"+c.Version] = true
	}
	for _, module := range info.Deps {
		if !listed[module.Path+"@"+module.Version] {
			t.Errorf("SBOM does not list %s@%s", module.Path, module.Version)
		}
	}
}

func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(compressed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		if files[name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

// A release keeps its contract as the one that later ones are compared with.
func TestBaselineOfARelease(t *testing.T) {
	published, baseline := t.TempDir(), t.TempDir()
	write := func(folder, name, text string) {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"callback.json", "waits.json"} {
		write(published, name, "{}")
		write(baseline, name, "{}")
	}
	if err := isBaseline("v1.0.0", published, baseline); err != nil {
		t.Error(err)
	}
	write(published, "waits.json", `{"changed":true}`)
	if err := isBaseline("v1.0.0", published, baseline); err == nil || !strings.Contains(err.Error(), "waits.json") {
		t.Errorf("another contract than the baseline was released: %v", err)
	}
	if err := isBaseline("v1.0.0-3-gabcdef", published, baseline); err != nil {
		t.Errorf("a commit after a tag: %v", err)
	}
}
