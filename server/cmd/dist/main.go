// Command dist builds the release: for each platform an archive with static binaries of both
// commands, what operators need, and an SBOM (CycloneDX 1.6) that is read from the binaries;
// and the checksums of the archives. The same commit and the same Go give the same bytes.
// "make dist" runs it in the project's root.
//
// goreleaser does the same; it was turned down because it takes minutes to build and 122 MB.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// commands are the released commands, by their folders.
var commands = []string{"server/cmd/flowcallbackd", "client/cmd/flowcallback"}

// included are the files of the project in an archive, as patterns of git: what operators
// need, and the documents, under the same paths, so that their links work.
var included = []string{
	"LICENSE", "*.md", ":(glob)openapi/*.yaml", "openapi/published/*", "openapi/baseline/*", "server/auth/example.yaml", "server/console/screenshots/*", "server/operations/*",
}

// shells are the shells that get a completion script.
var shells = []string{"bash", "zsh", "fish"}

func main() {
	target := flag.String("o", "dist", "`FOLDER` to write to; its old content is deleted")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64", "`LIST` of GOOS/GOARCH")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *target, strings.Split(*platforms, ","), os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, target string, platforms []string, progress io.Writer) error {
	at, version, err := commit(ctx)
	if err != nil {
		return err
	}
	if err := isBaseline(version, "openapi/published", "openapi/baseline"); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(target), os.MkdirAll(target, 0o755)); err != nil { //nolint:gosec // a release is public
		return err
	}
	common, err := commonFiles(ctx)
	if err != nil {
		return err
	}
	var sums bytes.Buffer
	for _, platform := range platforms {
		goos, goarch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("platform %q: want GOOS/GOARCH", platform)
		}
		name := fmt.Sprintf("flowcallback-%s-%s-%s", version, goos, goarch)
		files, err := build(ctx, goos, goarch)
		if err != nil {
			return err
		}
		parts, err := components(files)
		if err != nil {
			return err
		}
		sbom, err := document(name, version, parts)
		if err != nil {
			return err
		}
		files = append(files, file{"sbom.cdx.json", 0o644, sbom})
		files = append(files, common...)
		archive, content, err := pack(name, goos, at, files)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(target, archive), content, 0o644); err != nil { //nolint:gosec // a release is public
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), archive)
		fmt.Fprintf(progress, "%s  %.1f MiB\n", archive, float64(len(content))/(1<<20))
	}
	return os.WriteFile(filepath.Join(target, "SHA256SUMS"), sums.Bytes(), 0o644) //nolint:gosec // a release is public
}

// commit returns the time and the version of the current commit.
func commit(ctx context.Context) (at time.Time, version string, err error) {
	seconds, err := exec.CommandContext(ctx, "git", "log", "-1", "--format=%cI").Output()
	if err != nil {
		return at, "", fmt.Errorf("git log: %w", err)
	}
	if at, err = time.Parse(time.RFC3339, strings.TrimSpace(string(seconds))); err != nil {
		return at, "", err
	}
	described, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--tags").Output()
	if err != nil {
		return at, "", fmt.Errorf("git describe: %w", err)
	}
	return at.UTC(), strings.TrimSpace(string(described)), nil
}

var tag = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+$`)

// isBaseline refuses to release a contract that later ones would not be compared with. Only a tagged commit is released.
func isBaseline(version, published, baseline string) error {
	if !tag.MatchString(version) {
		return nil
	}
	for _, name := range []string{"callback.json", "waits.json"} {
		now, err := os.ReadFile(filepath.Join(published, name))
		if err != nil {
			return err
		}
		kept, err := os.ReadFile(filepath.Join(baseline, name))
		if err != nil {
			return err
		}
		if !bytes.Equal(now, kept) {
			return fmt.Errorf("%s of the release %s is not in %s: run \"make baseline\" and commit before you tag", name, version, baseline)
		}
	}
	return nil
}

// file is a file in an archive.
type file struct {
	name    string
	mode    os.FileMode
	content []byte
}

// commonFiles returns the files that are the same for all platforms.
func commonFiles(ctx context.Context) (files []file, err error) {
	listed, err := exec.CommandContext(ctx, "git", append([]string{"ls-files", "-z", "--"}, included...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files: %w", err)
	}
	for path := range strings.SplitSeq(strings.TrimSuffix(string(listed), "\x00"), "\x00") {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{path, 0o644, content})
	}
	for _, shell := range shells {
		script, err := exec.CommandContext(ctx, "go", "run", "./client/cmd/flowcallback", "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completion for %s: %w", shell, err)
		}
		files = append(files, file{"completions/flowcallback." + shell, 0o644, script})
	}
	return files, nil
}

// build builds the commands without C code, so that they are static, and without the paths
// of this machine.
func build(ctx context.Context, goos, goarch string) (files []file, err error) {
	folder, err := os.MkdirTemp("", "flowcallback-dist-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	for _, command := range commands {
		name := filepath.Base(command)
		if goos == "windows" {
			name += ".exe"
		}
		path := filepath.Join(folder, name)
		b := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w -buildid=", "-o", path, "./"+command)
		b.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOFLAGS=-mod=readonly")
		if output, err := b.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("building %s for %s/%s: %w\n%s", command, goos, goarch, err, output)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name, 0o755, content})
	}
	return files, nil
}

// pack returns an archive: zip for Windows, else tar.gz.
func pack(name, goos string, at time.Time, files []file) (archive string, content []byte, err error) {
	var out bytes.Buffer
	if goos == "windows" {
		archive = name + ".zip"
		w := zip.NewWriter(&out)
		for _, f := range files {
			header := &zip.FileHeader{Name: name + "/" + f.name, Method: zip.Deflate, Modified: at}
			header.SetMode(f.mode)
			part, err := w.CreateHeader(header)
			if err == nil {
				_, err = part.Write(f.content)
			}
			if err != nil {
				return "", nil, err
			}
		}
		if err := w.Close(); err != nil {
			return "", nil, err
		}
		return archive, out.Bytes(), nil
	}
	archive = name + ".tar.gz"
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return "", nil, err
	}
	w := tar.NewWriter(compressed)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: name + "/" + f.name, Mode: int64(f.mode), Size: int64(len(f.content)), ModTime: at, Format: tar.FormatPAX})
		if err == nil {
			_, err = w.Write(f.content)
		}
		if err != nil {
			return "", nil, err
		}
	}
	if err := errors.Join(w.Close(), compressed.Close()); err != nil {
		return "", nil, err
	}
	return archive, out.Bytes(), nil
}

// component is a module, in CycloneDX.
type component struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	Version string `json:"version"`
	PURL    string `json:"purl"`
}

// components returns the modules in the binaries.
func components(files []file) (found []component, err error) {
	seen := map[string]bool{}
	for _, f := range files {
		info, err := buildinfo.Read(bytes.NewReader(f.content))
		if err != nil {
			return nil, fmt.Errorf("reading what is in %s: %w", f.name, err)
		}
		add := func(name, version string) {
			if purl := "pkg:golang/" + name + "@" + version; !seen[purl] {
				seen[purl] = true
				found = append(found, component{"library", name, version, purl})
			}
		}
		add("stdlib", strings.TrimPrefix(info.GoVersion, "go"))
		for _, module := range info.Deps {
			if module.Replace != nil {
				module = module.Replace
			}
			add(module.Path, module.Version)
		}
	}
	slices.SortFunc(found, func(a, b component) int { return strings.Compare(a.PURL, b.PURL) })
	return found, nil
}

// document returns the SBOM.
func document(name, version string, parts []component) ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":   map[string]any{"component": component{"application", name, version, "pkg:golang/github.com/flowcallback/flowcallback@" + version}},
		"components": parts,
	}, "", "  ")
}
