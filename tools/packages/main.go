// Packages builds the deb and rpm packages, for amd64 and arm64, with their manual pages,
// completions, copyright files, checksums and bills of materials:
//
//	go run ./tools/packages -version 1.2.3 -out bin/packages
//
// Two runs of one version over one commit make the same bytes: nothing in them depends on the
// time, the machine or the folder. nfpm and cyclonedx-gomod come from tools/tools.mod.
package main

import (
	"context"
	"crypto/sha256"
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
	"syscall"
	"time"
)

var commands = []string{"shadowd", "shadowctl", "shadowgate", "websockify", "rfbtrace"}

// names are the packages, each described by dist/packages/NAME.yaml.
var names = []string{"shadowd", "shadowgate", "shadow-websockify", "rfbtrace"}

func main() {
	version := flag.String("version", "", "the packages' `version`, such as 1.2.3")
	out := flag.String("out", "bin/packages", "`folder` for the packages; what is in it goes")
	arches := flag.String("arch", "amd64,arm64", "the `processors` that packages are made for")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := builder{version: *version, out: *out, arches: strings.Split(*arches, ",")}
	if err := b.build(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		stop()
		os.Exit(1)
	}
}

// A builder makes one version of all packages.
type builder struct {
	version string
	out     string
	arches  []string
	work    string // folder for what is packed
	date    time.Time
}

var versions = regexp.MustCompile(`^\d+\.\d+\.\d+([~+.-][0-9A-Za-z.~+-]+)?$`)

func (b *builder) build(ctx context.Context) (err error) {
	if !versions.MatchString(b.version) {
		return fmt.Errorf("version %q isn't one such as 1.2.3: give -version, or make packages VERSION=1.2.3", b.version)
	}
	if err := bundled(); err != nil {
		return err
	}
	if b.date, err = commitDate(ctx); err != nil {
		return err
	}
	if err := os.RemoveAll(b.out); err != nil {
		return err
	}
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp("", "packages"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if err := b.texts(ctx); err != nil {
		return err
	}
	if err := b.tools(ctx); err != nil {
		return err
	}
	for _, arch := range b.arches {
		if err := b.arch(ctx, arch); err != nil {
			return fmt.Errorf("%s: %w", arch, err)
		}
	}
	return b.checksums()
}

// bundled reports what the programs embed and isn't there: the compiler takes an empty folder, too.
func bundled() error {
	for _, name := range []string{"internal/viewer/dist/index.html", "internal/gate/web/dist/index.html", novnc + "LICENSE.txt"} {
		if _, err := os.Stat(name); err != nil {
			return fmt.Errorf("a page isn't there (run make pages): %w", err)
		}
	}
	return nil
}

// commitDate is what the packages' files are dated: the commit's time, or that of
// SOURCE_DATE_EPOCH (reproducible-builds.org).
func commitDate(ctx context.Context) (time.Time, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		out, err := output(ctx, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("the commit's time: %w; set SOURCE_DATE_EPOCH where there is no git", err)
		}
		epoch = strings.TrimSpace(string(out))
	}
	var seconds int64
	if _, err := fmt.Sscan(epoch, &seconds); err != nil {
		return time.Time{}, fmt.Errorf("%q isn't a number of seconds: %w", epoch, err)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// arch builds the programs for one architecture, and the packages of them.
func (b *builder) arch(ctx context.Context, arch string) error {
	bin, err := b.programs(ctx, arch)
	if err != nil {
		return err
	}
	for _, name := range names {
		for _, format := range []string{"deb", "rpm"} {
			description, err := b.describe(name, arch, bin, format)
			if err != nil {
				return err
			}
			cmd := exec.CommandContext(ctx, filepath.Join(b.work, "tools", "nfpm"), "package",
				"--config", description, "--packager", format, "--target", b.out)
			cmd.Env = append(os.Environ(), fmt.Sprintf("SOURCE_DATE_EPOCH=%d", b.date.Unix()))
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("nfpm %s %s: %w\n%s", name, format, err, out)
			}
		}
	}
	for _, command := range commands {
		target := filepath.Join(b.out, fmt.Sprintf("%s_%s_%s.cdx.json", command, b.version, arch))
		out, err := output(ctx, filepath.Join(b.work, "tools", "cyclonedx-gomod"), "bin", "-json", "-noserial", "-std",
			"-version", b.version, "-output", target, filepath.Join(bin, command))
		if err != nil {
			return fmt.Errorf("bill of materials of %s: %w\n%s", command, err, out)
		}
		var bundled []component
		if command == "shadowd" || command == "shadowgate" {
			if bundled, err = pages(); err != nil {
				return err
			}
		}
		if err := settle(target, bundled); err != nil {
			return err
		}
	}
	return nil
}

// tools builds the programs that are run many times: go tool looks at all their modules each time.
func (b *builder) tools(ctx context.Context) error {
	_, err := output(ctx, "go", "build", "-modfile=tools/tools.mod", "-o", filepath.Join(b.work, "tools")+"/",
		"github.com/goreleaser/nfpm/v2/cmd/nfpm", "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod")
	return err
}

// describe writes nfpm's description of a package, with what its ${NAME}s stand for; nfpm
// itself knows them in some places only.
func (b *builder) describe(name, arch, bin, format string) (file string, err error) {
	data, err := os.ReadFile(filepath.Join("dist/packages", name+".yaml"))
	if err != nil {
		return "", err
	}
	values := map[string]string{"ARCH": arch, "VERSION": b.version, "BIN": bin, "OUT": b.work, "MTIME": b.date.Format(time.RFC3339),
		"DOC": "file", "LICENSE": "file", "ZSH": "/usr/share/zsh/vendor-completions"}
	if format == "rpm" { // nfpm leaves these out of a deb, which has no such kinds
		values["DOC"], values["LICENSE"] = "doc", "license"
		values["ZSH"] = "/usr/share/zsh/site-functions" // Debian's folder isn't looked into elsewhere
	}
	var unknown string
	text := os.Expand(string(data), func(key string) string {
		value, ok := values[key]
		if !ok {
			unknown = key
		}
		return value
	})
	if unknown != "" {
		return "", fmt.Errorf("dist/packages/%s.yaml: ${%s} isn't known", name, unknown)
	}
	file = filepath.Join(b.work, name+".yaml")
	return file, os.WriteFile(file, []byte(text), 0o644)
}

// programs builds static, stripped programs, once, and returns their folder.
func (b *builder) programs(ctx context.Context, arch string) (dir string, err error) {
	dir = filepath.Join(b.work, "bin-"+arch)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	args := []string{"build", "-trimpath", "-buildvcs=false", "-o", dir + "/",
		"-ldflags", "-s -w -buildid= -X vda.internal/shadow/internal/version.linked=" + b.version}
	for _, c := range commands {
		args = append(args, "./cmd/"+c)
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
}

// checksums writes the SHA-256 of each file, as sha256sum(1) does.
func (b *builder) checksums() error {
	entries, err := os.ReadDir(b.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		f, err := os.Open(filepath.Join(b.out, e.Name()))
		if err != nil {
			return err
		}
		sum := sha256.New()
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sum.Sum(nil), e.Name()))
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(b.out, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}

// output is what a program prints; its complaints are part of the error.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s: %w %s", name, err, strings.TrimSpace(complaints.String()))
	}
	return out, nil
}
