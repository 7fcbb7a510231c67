package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/lubod/lubod/sdk"
)

var update = flag.Bool("update", false, "rewrite the expected part of the golden files")

// divider parts the input of a golden file from the messages that it must give.
const divider = "\n-----\n"

func TestParsePluginsGolden(t *testing.T) {
	golden(t, "testdata/plugins/*.txt", func(source string) string {
		_, err := ParsePlugins([]byte(source), "plugins.hcl")
		return message(err)
	})
}

// golden compares what run says about the upper part of each file with the lower part.
func golden(t *testing.T, pattern string, run func(source string) string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files at %s: %v", pattern, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source, want, _ := strings.Cut(string(content), divider)
			got := run(source) + "\n"
			if *update {
				if err := os.WriteFile(file, []byte(source+divider+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func message(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

func TestParsePluginsReadsEverything(t *testing.T) {
	const digest = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
	source := `
plugin_dir = "plugs"
plugin "extractor-direct" {}
plugin "line-upos" {
  path   = "/opt/upos"
  sha256 = "` + digest + `"
  limits {
    idle_stop     = "1m"
    start_timeout = "3s"
  }
  options { threads = 3 }
}
plugin "recorder-native-2" { path = "here/rec" }
`
	plugins, err := ParsePlugins([]byte(source), "/etc/lubod/plugins.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if plugins.Dir != "/etc/lubod/plugs" {
		t.Errorf("Dir = %s", plugins.Dir)
	}
	type summary struct {
		Name, Short, Path, SHA256, Range string
		Kind                             sdk.PluginKind
		Options                          bool
		Limits                           Limits
	}
	var got []summary
	for _, block := range plugins.Blocks {
		got = append(got, summary{
			Name: block.Name, Short: block.ShortName(), Path: block.Path, SHA256: block.SHA256, Kind: block.Kind,
			Range: block.Range.String(), Options: block.Options != nil, Limits: block.Limits,
		})
	}
	want := []summary{
		{Name: "extractor-direct", Short: "direct", Path: "/etc/lubod/plugs/extractor-direct", Kind: sdk.KindExtractor,
			Range: "/etc/lubod/plugins.hcl:3,1-26"},
		{Name: "line-upos", Short: "upos", Path: "/opt/upos", SHA256: strings.ToLower(digest), Kind: sdk.KindLine,
			Range: "/etc/lubod/plugins.hcl:4,1-19", Options: true,
			Limits: Limits{IdleStop: time.Minute, StartTimeout: 3 * time.Second}},
		{Name: "recorder-native-2", Short: "native-2", Path: "/etc/lubod/here/rec", Kind: sdk.KindRecorder,
			Range: "/etc/lubod/plugins.hcl:13,1-27"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParsePluginsDefaultsToTheBuildFolder(t *testing.T) {
	plugins, err := ParsePlugins([]byte(`plugin "line-upos" {}`), "/srv/plugins.hcl")
	if err != nil {
		t.Fatal(err)
	}
	if got := plugins.Blocks[0].Path; got != "/srv/bin/plugins/line-upos" {
		t.Errorf("Path = %s", got)
	}
}

func TestReadPluginsExplainsAMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugins.hcl")
	_, err := ReadPlugins(path)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "--plugins or LUBOD_PLUGINS") {
		t.Errorf("err = %v", err)
	}
}

func TestReadPluginsReadsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plugins.hcl")
	if err := os.WriteFile(path, []byte(`plugin "line-upos" {}`), 0o600); err != nil {
		t.Fatal(err)
	}
	plugins, err := ReadPlugins(path)
	if err != nil || len(plugins.Blocks) != 1 {
		t.Errorf("plugins = %v, err = %v", plugins, err)
	}
}

func FuzzParsePlugins(f *testing.F) {
	files, _ := filepath.Glob("testdata/plugins/*.txt")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		source, _, _ := strings.Cut(string(content), divider)
		f.Add([]byte(source))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		plugins, err := ParsePlugins(source, "plugins.hcl")
		var mistakes *FileError
		if err != nil && (!errors.As(err, &mistakes) || len(mistakes.Problems) == 0 || len(plugins.Blocks) != 0) {
			t.Fatalf("a refused file must give its mistakes and nothing else: %v, %v", plugins, err)
		}
		for _, block := range plugins.Blocks {
			if !filepath.IsAbs(block.Path) || block.Name != string(block.Kind)+"-"+block.ShortName() {
				t.Fatalf("bad block %+v", block)
			}
		}
	})
}

// Who is not there, or cannot be become, is a mistake with its place.
func TestUserOfAPlugin(t *testing.T) {
	parse := func(root bool, name string) (Plugins, error) {
		t.Helper()
		source := "plugin \"line-upos\" {\n  user = \"" + name + "\"\n}\n"
		file, diagnostics := hclsyntax.ParseConfig([]byte(source), "plugins.hcl", hcl.InitialPos)
		if diagnostics.HasErrors() {
			t.Fatal(diagnostics)
		}
		reader := pluginsReader{root: root}
		reader.read(file.Body.(*hclsyntax.Body))
		return Plugins{Blocks: reader.blocks}, reader.err()
	}
	for name, words := range map[string]string{"no-such-user-here": "there is no user", "root": ""} {
		got, err := parse(true, name)
		if words == "" && (err != nil || got.Blocks[0].User == nil || got.Blocks[0].User.Name != name || got.Blocks[0].User.UID != 0) {
			t.Errorf("user %s: %+v, %v", name, got, err)
		}
		if words != "" && (err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "plugins.hcl:2")) {
			t.Errorf("user %s: %v, want %q and the place", name, err, words)
		}
	}
	if _, err := parse(false, "root"); err == nil || !strings.Contains(err.Error(), "only root") || !strings.Contains(err.Error(), "plugins.hcl:2") {
		t.Errorf("a host that is not root: %v", err)
	}
}
