package nspawn

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func plant(t *testing.T, name, content string, mode fs.FileMode) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(name), 0o755))
	must(t, os.WriteFile(name, []byte(content), mode))
	must(t, os.Chmod(name, mode))
}

// tree describes what is below dir: path, mode and content or target.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		row := strings.TrimPrefix(name, dir+"/")
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			row += "/"
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			row += " → " + target
		default:
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			row += " " + info.Mode().String() + " " + string(content)
		}
		out = append(out, row)
		return nil
	}))
	return out
}

func TestUploadAndDownload(t *testing.T) {
	m := &Machine{Root: t.TempDir()}
	must(t, os.Mkdir(filepath.Join(m.Root, "tmp"), 0o755))
	program := filepath.Join(t.TempDir(), "program")
	plant(t, program, "", 0o755)
	info, err := os.Stat(program)
	must(t, err)

	must(t, m.Upload("/tmp/plain", strings.NewReader("text"), nil))
	must(t, m.Upload("/tmp/program", strings.NewReader("text"), &info))
	must(t, m.Upload("/tmp/plain", strings.NewReader("other"), nil)) // over the old one
	want := []string{"tmp/", "tmp/plain -rw-r--r-- other", "tmp/program -rwxr-xr-x text"}
	if diff := cmp.Diff(want, tree(t, m.Root)); diff != "" {
		t.Error(diff)
	}
	var content bytes.Buffer
	must(t, m.Download("/tmp/plain", &content))
	if content.String() != "other" {
		t.Errorf("downloaded %q", content.String())
	}
	if err := m.Download("/tmp/none", &content); err == nil {
		t.Error("downloaded a missing file")
	}
	if err := m.Upload("/none/file", strings.NewReader(""), nil); err == nil {
		t.Error("uploaded into a missing folder")
	}
}

func TestFilesStayInside(t *testing.T) {
	outside := t.TempDir()
	plant(t, filepath.Join(outside, "secret"), "secret", 0o600)
	m := &Machine{Root: filepath.Join(outside, "root")}
	must(t, os.Mkdir(m.Root, 0o755))
	must(t, os.Symlink("..", filepath.Join(m.Root, "up")))
	must(t, os.Symlink(outside, filepath.Join(m.Root, "absolute")))
	before := tree(t, outside)
	for _, name := range []string{"/up/secret", "/absolute/secret"} {
		if err := m.Upload(name, strings.NewReader("x"), nil); err == nil {
			t.Errorf("uploaded %s", name)
		}
		var content bytes.Buffer
		if err := m.Download(name, &content); err == nil {
			t.Errorf("downloaded %s: %s", name, content.String())
		}
		if err := m.UploadDir(name, outside, nil); err == nil {
			t.Errorf("uploaded a folder to %s", name)
		}
	}
	if diff := cmp.Diff(before, tree(t, outside)); diff != "" {
		t.Error(diff)
	}
	must(t, m.Upload("../../secret", strings.NewReader("x"), nil)) // above / is /
	if _, err := os.Stat(filepath.Join(m.Root, "secret")); err != nil {
		t.Error(err)
	}
}

func TestMountedFoldersAreRefused(t *testing.T) {
	m := &Machine{Root: t.TempDir()}
	for _, name := range []string{"/run/x", "/dev/shm/x", "/proc/x", "/sys/x", "/run"} {
		if err := m.Upload(name, strings.NewReader(""), nil); err == nil || !strings.Contains(err.Error(), "use /tmp") {
			t.Errorf("%s: %v, want it to say where else", name, err)
		}
	}
	must(t, m.Upload("/runner", strings.NewReader(""), nil))
}

func TestFolders(t *testing.T) {
	source := filepath.Join(t.TempDir(), "source")
	plant(t, filepath.Join(source, "a/b"), "b", 0o640)
	plant(t, filepath.Join(source, "run.sh"), "run", 0o755)
	plant(t, filepath.Join(source, "skip/x"), "x", 0o644)
	must(t, os.Symlink("a/b", filepath.Join(source, "link")))
	content := []string{"a/", "a/b -rw-r----- b", "link → a/b", "run.sh -rwxr-xr-x run"}
	var named []string
	for _, row := range content {
		named = append(named, "source/"+row)
	}
	named = append([]string{"source/"}, named...)

	for _, tt := range []struct {
		src  string
		want []string
	}{{source, named}, {source + "/", content}} {
		m := &Machine{Root: t.TempDir()}
		must(t, os.Mkdir(filepath.Join(m.Root, "opt"), 0o755))
		must(t, m.UploadDir("/opt", tt.src, []string{"skip"}))
		if diff := cmp.Diff(tt.want, tree(t, filepath.Join(m.Root, "opt"))); diff != "" {
			t.Errorf("upload %s: %s", tt.src, diff)
		}
		back := filepath.Join(t.TempDir(), "new")
		must(t, m.DownloadDir("/opt/", back, nil))
		if diff := cmp.Diff(tt.want, tree(t, back)); diff != "" {
			t.Errorf("download: %s", diff)
		}
	}
	m := &Machine{Root: filepath.Dir(source)}
	back := t.TempDir()
	must(t, m.DownloadDir("/source", back, []string{"skip"}))
	if diff := cmp.Diff(named, tree(t, back)); diff != "" {
		t.Errorf("download with the folder's name: %s", diff)
	}
}
