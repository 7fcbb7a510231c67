package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func lookup(values map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { value, ok := values[name]; return value, ok }
}

func environment(values map[string]string) func(string) string {
	return func(name string) string { return values[name] }
}

func TestLoadDefaults(t *testing.T) {
	got, err := Load(lookup(nil), environment(nil))
	if err != nil {
		t.Fatal(err)
	}
	data, _ := filepath.Abs("data")
	plugins, _ := filepath.Abs("plugins.hcl")
	want := Config{
		Listen: "127.0.0.1:19159", DataDir: data, PluginsFile: plugins,
		MemberURL: "https://member.bilibili.com", APIURL: "https://api.bilibili.com",
		PassportURL: "https://passport.bilibili.com",
		QRLogin:     "public", BiliupPaths: true, LocalSources: true, TestPace: "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadFlagWinsOverVariableOverDefault(t *testing.T) {
	variables := map[string]string{
		"LUBOD_LISTEN": "0.0.0.0:1", "LUBOD_DATA_DIR": "/var/lib/lubod", "LUBOD_PLUGINS": "",
		"LUBOD_DATABASE_URL":        "postgres://lubod:secret@db/lubod",
		"LUBOD_BILIBILI_MEMBER_URL": "http://127.0.0.1:8080/", "LUBOD_BILIBILI_API_URL": "http://[::1]:8081",
		"LUBOD_BILIBILI_PASSPORT_URL": "https://example.org/passport", "LUBOD_ALLOW_RUN_HOOKS": "1", "LUBOD_HOSTS": " rec.example ,nas.lan,",
	}
	got, err := Load(lookup(map[string]string{"listen": "[::1]:0"}), environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	plugins, _ := filepath.Abs("plugins.hcl")
	want := Config{
		Listen: "[::1]:0", DataDir: "/var/lib/lubod", PluginsFile: plugins,
		DatabaseURL: "postgres://lubod:secret@db/lubod",
		MemberURL:   "http://127.0.0.1:8080", APIURL: "http://[::1]:8081", PassportURL: "https://example.org/passport",
		QRLogin: "public", AllowRunHooks: true, BiliupPaths: true, LocalSources: true, TestPace: "1", Hosts: "rec.example,nas.lan",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadWantsAPageInTheFolderOfThePage(t *testing.T) {
	dir := t.TempDir()
	load := func(paths string) (Config, error) {
		return Load(lookup(map[string]string{"biliup-page": dir, "biliup-paths": paths}), environment(nil))
	}
	if _, err := load("true"); err == nil || !strings.Contains(err.Error(), "--biliup-page (or LUBOD_BILIUP_PAGE): ") || !strings.Contains(err.Error(), "holds no index.html") {
		t.Errorf("an empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.html"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := load("true"); err != nil || got.BiliupPage != dir {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := load("false"); err == nil || !strings.Contains(err.Error(), "works with biliup's paths only") {
		t.Errorf("without its paths: %v", err)
	}
}

func TestLoadNamesEveryMistakeWithFlagAndVariable(t *testing.T) {
	flags := map[string]string{"listen": "19159", "data-dir": " ", "plugins": "", "allow-run-hooks": "yes", "hosts": "rec.example, http://x:1"}
	variables := map[string]string{
		"LUBOD_DATABASE_URL":        "mysql://root:hunter2@db/x",
		"LUBOD_BILIBILI_MEMBER_URL": "member.bilibili.com", "LUBOD_BILIBILI_API_URL": "ftp://x",
		"LUBOD_BILIBILI_PASSPORT_URL": "http://x/?a=b", "LUBOD_ALLOW_ADDRESSES": "192.168.0.0/16, 10.0.0.0/99",
	}
	_, err := Load(lookup(flags), environment(variables))
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		`--listen (or LUBOD_LISTEN): "19159" is no address to listen on; write host:port, for example 127.0.0.1:19159`,
		`--data-dir (or LUBOD_DATA_DIR): must not be empty; write a path`,
		`--plugins (or LUBOD_PLUGINS): must not be empty; write a path`,
		`LUBOD_DATABASE_URL (or --database-url): is no PostgreSQL URL; write postgres://user:password@host:port/name`,
		`--hosts (or LUBOD_HOSTS): "http://x:1" is no host name; write names without scheme and port, for example rec.example.org`,
		`LUBOD_ALLOW_ADDRESSES (or --allow-addresses): "10.0.0.0/99" is no network, address or host name; write for example 192.168.1.0/24, 192.168.1.5 or nas.lan`,
		`--allow-run-hooks (or LUBOD_ALLOW_RUN_HOOKS): "yes" must be true or false`,
		`LUBOD_BILIBILI_MEMBER_URL: "member.bilibili.com" is no base URL; write http://host:port or https://host`,
		`LUBOD_BILIBILI_API_URL: "ftp://x" is no base URL; write http://host:port or https://host`,
		`LUBOD_BILIBILI_PASSPORT_URL: "http://x/?a=b" must be a scheme, a host and at most a path`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the password of the database is in the error")
	}
}

// The list of processes shows what stands on the command line to everybody on the machine.
func TestPasswordOfTheDatabaseStaysOffTheCommandLine(t *testing.T) {
	const secret = "hunter2"
	for _, url := range []string{"postgres://lubod:hunter2@db/lubod", "postgres://lubod@db/lubod?password=hunter2", "postgresql://db/lubod?sslpassword=hunter2"} {
		_, err := Load(lookup(map[string]string{"database-url": url}), environment(nil))
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "LUBOD_DATABASE_URL") || !strings.Contains(err.Error(), "--database-url-file") {
			t.Errorf("%s on the command line: %v", url, err)
		}
		if got, err := Load(lookup(nil), environment(map[string]string{"LUBOD_DATABASE_URL": url})); err != nil || got.DatabaseURL != url {
			t.Errorf("%s as a variable: %v", url, err)
		}
		file := filepath.Join(t.TempDir(), "url")
		if err := os.WriteFile(file, []byte(url+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, load := range map[string]func() (Config, error){
			"flag": func() (Config, error) {
				return Load(lookup(map[string]string{"database-url-file": file}), environment(nil))
			},
			"variable": func() (Config, error) {
				return Load(lookup(nil), environment(map[string]string{"LUBOD_DATABASE_URL_FILE": file}))
			},
		} {
			if got, err := load(); err != nil || got.DatabaseURL != url {
				t.Errorf("%s in a file named by a %s: %v", url, name, err)
			}
		}
		_, err = Load(lookup(map[string]string{"database-url-file": file}), environment(map[string]string{"LUBOD_DATABASE_URL": url}))
		if err == nil || !strings.Contains(err.Error(), "one of the two") || strings.Contains(err.Error(), secret) {
			t.Errorf("both: %v", err)
		}
		if err := os.WriteFile(file, []byte("hunter2"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = Load(lookup(map[string]string{"database-url-file": file}), environment(nil))
		if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), secret) {
			t.Errorf("a file without a URL: %v", err)
		}
	}
	if _, err := Load(lookup(map[string]string{"database-url": "postgres://lubod@db/lubod"}), environment(nil)); err != nil {
		t.Errorf("a URL without a password: %v", err)
	}
	if _, err := Load(lookup(map[string]string{"database-url-file": "/nowhere"}), environment(nil)); err == nil {
		t.Error("a file that is not there is no mistake")
	}
}

func TestLoadRefusesPorts(t *testing.T) {
	for _, address := range []string{"127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:http", "127.0.0.1:", ""} {
		if _, err := Load(lookup(map[string]string{"listen": address}), environment(nil)); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
}

func TestEverySettingIsDocumentedInBothLanguages(t *testing.T) {
	for _, setting := range Settings() {
		if setting.Usage == "" || setting.UsageZH == "" || setting.Env == "" {
			t.Errorf("%+v lacks a text or a variable", setting)
		}
	}
}

func TestHookDirs(t *testing.T) {
	load := func(value string) (Config, error) {
		return Load(func(name string) (string, bool) { return value, name == "hook-dirs" }, func(string) string { return "" })
	}
	c, err := load("/mnt/nas/:: /srv/a b")
	if err == nil {
		t.Errorf("a path that begins with a space was taken: %q", c.HookDirs)
	}
	if c, err = load("/mnt/nas/::/srv/a b"); err != nil || c.HookDirs != "/mnt/nas:/srv/a b" {
		t.Errorf("%q, %v", c.HookDirs, err)
	}
	if _, err := load("videos"); err == nil || !strings.Contains(err.Error(), "--hook-dirs") || !strings.Contains(err.Error(), "no absolute path") {
		t.Errorf("error = %v", err)
	}
}
