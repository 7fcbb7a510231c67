package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// good is a repository that keeps all rules: one file per package, and the packages that it imports.
var good = map[string][]string{
	"sdk/sdk.go":                              {"sdk/internal/serve"},
	"sdk/internal/serve/serve.go":             nil,
	"sdk/wire/wire.go":                        {"sdk", "sdk/internal/serve"},
	"sdk/simulator/bilibili/bilibili.go":      {"sdk"},
	"sdk/plugintest/plugintest.go":            {"sdk/wire"},
	"db/db.go":                                nil,
	"db/embedded/embedded.go":                 {"db"},
	"host/host.go":                            {"db/embedded", "host/internal/monitor", "host/internal/record", "host/internal/upload", "sdk/wire"},
	"host/internal/monitor/monitor.go":        {"db", "sdk"},
	"host/internal/record/record.go":          {"db"},
	"host/internal/upload/upload.go":          {"db"},
	"host/internal/hosttest/hosttest.go":      {"sdk/simulator/bilibili"},
	"host/host_test.go":                       {"host/internal/hosttest"},
	"plugins/line-upos/main.go":               {"sdk", "plugins/line-upos/internal/upos"},
	"plugins/line-upos/internal/upos/upos.go": {"sdk"},
	"plugins/line-upos/line_test.go":          {"sdk/simulator/bilibili", "sdk/plugintest"},
	"cmd/lubod/main.go":                       {"host", "sdk"},
	"cmd/lubod-sim/main.go":                   {"sdk/simulator/bilibili"},
}

// write makes a module of files, after change.
func write(t *testing.T, change func(files map[string][]string)) string {
	t.Helper()
	files := maps.Clone(good)
	if change != nil {
		change(files)
	}
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "go.mod"), "module "+module+"\n\ngo 1.26\n")
	writeFile(t, filepath.Join(root, "db/migrations/00001_create_tables.sql"), "")
	for name, imports := range files {
		name = filepath.Join(root, name)
		pkg := "p"
		if base := filepath.Base(name); base == "main.go" || filepath.Base(filepath.Dir(name)) == "line-upos" {
			pkg = "main"
		}
		var text strings.Builder
		text.WriteString("package " + pkg + "\n")
		for _, path := range imports {
			text.WriteString("import _ \"" + module + "/" + path + "\"\n")
		}
		if filepath.Base(name) == "main.go" {
			text.WriteString("func main() {}\n")
		}
		writeFile(t, name, text.String())
	}
	return root
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func violationsOf(t *testing.T, root string) []string {
	t.Helper()
	violations, err := check(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	return violations
}

func TestGoodRepositoryHasNoViolation(t *testing.T) {
	t.Parallel()
	if violations := violationsOf(t, write(t, nil)); len(violations) > 0 {
		t.Errorf("violations: %q", violations)
	}
}

func TestForbiddenImportIsFound(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, file, imported, want string }{
		{"sdk imports the database", "sdk/wire/wire.go", "db", "sdk/wire imports db: "},
		{"plugin imports the host", "plugins/line-upos/main.go", "host", "plugins/line-upos imports host: "},
		{"plugin imports the host's side of the SDK", "plugins/line-upos/main.go", "sdk/wire", "plugins/line-upos imports sdk/wire: "},
		{"plugin carries test support", "plugins/line-upos/internal/upos/upos.go", "sdk/simulator/bilibili", "plugins/line-upos/internal/upos imports sdk/simulator/bilibili: "},
		{"plugin's test imports the database", "plugins/line-upos/line_test.go", "db", "plugins/line-upos (test) imports db: "},
		{"database imports the SDK", "db/db.go", "sdk", "db imports sdk: "},
		{"daemon carries test support", "host/host.go", "host/internal/hosttest", "host imports host/internal/hosttest: "},
		{"monitor imports record", "host/internal/monitor/monitor.go", "host/internal/record", "host/internal/monitor depends on host/internal/record: "},
		{"record's test imports upload", "host/internal/record/record_test.go", "host/internal/upload", "host/internal/record depends on host/internal/upload: "},
		{"command imports the database", "cmd/lubod/main.go", "db", "cmd/lubod imports db: "},
		{"simulator imports the host", "cmd/lubod-sim/main.go", "host", "cmd/lubod-sim imports host: "},
		{"part without a rule", "mystery/mystery.go", "db", "mystery imports db: no rule"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := write(t, func(files map[string][]string) {
				files[test.file] = append(slices.Clone(files[test.file]), test.imported)
			})
			violations := violationsOf(t, root)
			if len(violations) != 1 || !strings.HasPrefix(violations[0], test.want) {
				t.Errorf("violations = %q, want one that starts with %q", violations, test.want)
			}
		})
	}
}

func TestStrangersThatMeetByWayOfAThirdAreFound(t *testing.T) {
	t.Parallel()
	root := write(t, func(files map[string][]string) {
		files["host/internal/between/between.go"] = []string{"host/internal/upload"}
		files["host/internal/record/record.go"] = []string{"host/internal/between"}
	})
	want := "host/internal/record depends on host/internal/upload: "
	if violations := violationsOf(t, root); len(violations) != 1 || !strings.HasPrefix(violations[0], want) {
		t.Errorf("violations = %q, want one that starts with %q", violations, want)
	}
}

func TestExamplePluginIsHeldAgainstTheRulesOfPlugins(t *testing.T) {
	t.Parallel()
	root := write(t, nil)
	example := filepath.Join(root, "plugins", "example", "extractor-acme")
	writeFile(t, filepath.Join(example, "go.mod"), "module example.com/acme\n\ngo 1.26\n\nrequire "+module+
		" v0.0.0\n\nreplace "+module+" => ../../..\n")
	writeFile(t, filepath.Join(example, "main.go"), "package main\n\nimport (\n\t_ \""+module+"/host\"\n\t_ \""+module+"/sdk\"\n)\n\nfunc main() {}\n")
	want := "plugins/example/extractor-acme imports host: "
	if violations := violationsOf(t, root); len(violations) != 1 || !strings.HasPrefix(violations[0], want) {
		t.Errorf("violations = %q, want one that starts with %q", violations, want)
	}
}

func TestMigrationNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		want string
	}{
		{"00002_add_events.sql", ""},
		{"00003_add_events.sql", "db/migrations/00003_add_events.sql: its number must be 00002"},
		{"00001_drop_tables.sql", "db/migrations/00001_drop_tables.sql: its number must be 00002"},
		{"2_add_events.sql", "db/migrations/2_add_events.sql: the name must be"},
		{"00002_Add_Events.sql", "db/migrations/00002_Add_Events.sql: the name must be"},
		{"notes.txt", "db/migrations/notes.txt: the name must be"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := write(t, nil)
			writeFile(t, filepath.Join(root, "db/migrations", test.name), "")
			violations := violationsOf(t, root)
			switch {
			case test.want == "" && len(violations) == 0:
			case test.want == "" || len(violations) != 1 || !strings.HasPrefix(violations[0], test.want):
				t.Errorf("violations = %q, want %q", violations, test.want)
			}
		})
	}
}

func TestGoroutinesWithoutALookForLeaksAreFound(t *testing.T) {
	t.Parallel()
	const watched = "package upload\n\nimport \"testing\"\n\nfunc TestMain(m *testing.M) { goleak.VerifyTestMain(m) }\n"
	const unwatched = "package upload\n"
	for _, test := range []struct{ name, code, tests, want string }{
		{"go statement", "func f() { go f() }", unwatched, "host/internal/upload starts goroutines (more.go:2)"},
		{"group", "func f() { group.Go(f) }", unwatched, "host/internal/upload starts goroutines (more.go:2)"},
		{"server of a test", "func f() { httptest.NewServer(nil) }", unwatched, "host/internal/upload starts goroutines (more.go:2)"},
		{"watched", "func f() { go f() }", watched, ""},
		{"nothing runs", "func f() {}", unwatched, ""},
		{"no tests", "func f() { go f() }", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "host/internal/upload")
			writeFile(t, filepath.Join(dir, "more.go"), "package upload\n"+test.code+"\n")
			if test.tests != "" {
				writeFile(t, filepath.Join(dir, "more_test.go"), test.tests)
			}
			violations, err := checkLeaks(filepath.Join(dir, "../../.."))
			switch {
			case err != nil:
				t.Error(err)
			case test.want == "" && len(violations) == 0:
			case test.want == "" || len(violations) != 1 || !strings.HasPrefix(violations[0], test.want):
				t.Errorf("violations = %q, want %q", violations, test.want)
			}
		})
	}
}

// What goes around the owners of jobs and states is found, and nothing else is.
func TestWhatGoesAroundOwnersIsFound(t *testing.T) {
	t.Parallel()
	const own = "package pipeline\nconst (\n\tUploadFailed UploadState = \"failed\"\n\tWanted Publish = \"wanted\"\n)\n"
	for _, test := range []struct{ name, file, code, want string }{
		{"library of jobs", "host/internal/upload/x.go", "import _ \"github.com/riverqueue/river/rivertype\"", "host/internal/upload/x.go:2 imports github.com/riverqueue/river/rivertype"},
		{"library where it belongs", "host/internal/jobs/x.go", "import _ \"github.com/riverqueue/river\"\nfunc f() { river.NewClient() }", ""},
		{"second client", "host/internal/upload/x.go", "func f() { river.NewClient() }", "host/internal/upload/x.go:2 makes a client"},
		{"closure into a worker", "host/internal/hooks/x.go", "type Options struct { Later func() }", "host/internal/hooks/x.go:2: Options.Later is a function"},
		{"closures into a worker", "host/internal/upload/x.go", "type Options struct { Later map[string][]func() }", "host/internal/upload/x.go:2: Options.Later is a function"},
		{"interface of a worker", "host/internal/upload/x.go", "type Options struct { Lines interface{ Rank() } }", ""},
		{"closure elsewhere", "host/internal/record/x.go", "type Options struct { Later func() }", ""},
		{"compared", "host/internal/api/x.go", "func f() { if row.State == \"failed\" {} }", "host/internal/api/x.go:2: \"failed\" is a state of State"},
		{"compared the other way", "host/x.go", "func f() { if \"wanted\" != string(row.Publish) {} }", "host/x.go:2: \"wanted\" is a state of Publish"},
		{"assigned", "host/internal/record/x.go", "func f() { row.Publish = \"wanted\" }", "host/internal/record/x.go:2: \"wanted\" is a state"},
		{"put into a row", "host/internal/record/x.go", "var x = T{Publish: \"wanted\"}", "host/internal/record/x.go:2: \"wanted\" is a state"},
		{"switched over", "host/internal/api/x.go", "func f() { switch row.State { case \"x\", \"failed\": } }", "host/internal/api/x.go:2: \"failed\" is a state"},
		{"a constant", "host/internal/api/x.go", "func f() { if row.State == UploadFailed {} }", ""},
		{"another word", "host/internal/api/x.go", "func f() { if row.State == \"backoff\" {} }", ""},
		{"another field", "host/internal/api/x.go", "func f() { if row.Title == \"failed\" {} }", ""},
		{"a test", "host/internal/api/x_test.go", "func f() { if row.State == \"failed\" {} }", ""},
		{"outside of the host", "cmd/lubod-sim/x.go", "func f() { if row.State == \"failed\" {} }", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			writeFile(t, filepath.Join(root, stateOwner, "states.go"), own)
			writeFile(t, filepath.Join(root, test.file), "package x\n"+test.code+"\n")
			violations, err := checkWalls(root)
			switch {
			case err != nil:
				t.Error(err)
			case test.want == "" && len(violations) == 0:
			case test.want == "" || len(violations) != 1 || !strings.HasPrefix(violations[0], test.want):
				t.Errorf("violations = %q, want %q", violations, test.want)
			}
		})
	}
}

func TestDocsThatNameNoTestAreFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "docs/clocks.md"), "It waits (`TestThatIsThere`, `TestThatWasRenamed`).\n")
	writeFile(t, filepath.Join(root, "host/host_test.go"), "package host\n\nfunc TestThatIsThere(t *testing.T) {}\n")
	violations, err := checkDocs(root)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"docs/clocks.md names TestThatWasRenamed, and there is no such test"}; !slices.Equal(violations, want) {
		t.Errorf("violations = %q, want %q", violations, want)
	}
}
