// Package config turns what an operator wrote before the start (flags, environment variables, plugins.hcl) into typed values.
// Every mistake is an error that names the place, what is wrong there and what is allowed. What users change while the host
// runs is in package settings.
package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lubod/lubod/sdk/fetch"
)

// Config is what the daemon was started with.
type Config struct {
	// Listen is the host:port of the HTTP server.
	Listen string
	// DataDir holds recordings, account files, the private database and the state of plugins. Absolute.
	DataDir string
	// PluginsFile is the path of plugins.hcl. Absolute.
	PluginsFile string
	// DatabaseURL of a PostgreSQL server; empty: the host runs a private one under DataDir. May hold a password.
	DatabaseURL string
	// DatabaseURLFile is where DatabaseURL was read from; empty: it was given itself.
	DatabaseURLFile string
	// MemberURL, APIURL and PassportURL are the three hosts of Bilibili, without a slash at the end.
	MemberURL   string
	APIURL      string
	PassportURL string
	// Hosts are the names by which the API may be called besides addresses and localhost, with commas between; "*" is every
	// name. Without any, a loopback Listen has no other name and any other Listen has every name.
	Hosts string
	// QRLogin says who may log a Bilibili account in by QR code: public, users or off.
	QRLogin string
	// AllowAddresses are the addresses besides public ones that requests of users may go to, as fetch.ParseAllowed reads
	// them.
	AllowAddresses string
	// LocalSources lets rooms have sources on this machine and in the networks around it.
	LocalSources bool
	// AllowRunHooks lets the users of the API give streamers hooks that run commands on this machine.
	AllowRunHooks bool
	// HookDirs are folders besides the recordings' own into which hooks may move files: absolute, as filepath.SplitList
	// reads them.
	HookDirs string
	// BiliupPaths answers on the paths that biliup's server has as well.
	BiliupPaths bool
	// BiliupPage is the folder of biliup's exported page, which is then served at "/"; empty: none. Absolute.
	BiliupPage string
	// TestPace multiplies every wait for the outside world (retries, look-ups, the follow-up of archives), so that a test
	// lives through a day in seconds. A number above 0.
	TestPace string
}

// Setting is one value of Config that an operator can give. A flag wins over its environment variable, the variable
// over the default; an empty variable counts as not set.
type Setting struct {
	// Flag is the name without dashes; empty: there is only the variable.
	Flag    string
	Env     string
	Default string
	Usage   string
	// UsageZH is Usage in Chinese.
	UsageZH string
	// Switch marks a setting that is true or false, and whose flag alone means true.
	Switch bool

	field func(*Config) *string
	// toggle takes the place of field and check for a switch.
	toggle func(*Config) *bool
	check  func(value string) (string, error)
	// checkFlag, when not nil, says what is wrong with a value that stands on the command line.
	checkFlag func(value string) error
}

// Settings lists every setting, in the order in which help shows them.
func Settings() []Setting {
	return []Setting{
		{
			Flag: "listen", Env: "LUBOD_LISTEN", Default: "127.0.0.1:19159",
			Usage: "host:port of the HTTP API", UsageZH: "HTTP API 监听的 主机:端口",
			field: func(c *Config) *string { return &c.Listen }, check: checkListen,
		},
		{
			Flag: "data-dir", Env: "LUBOD_DATA_DIR", Default: "./data",
			Usage:   "directory for recordings, accounts and the private database",
			UsageZH: "存放录像、账号和内置数据库的目录",
			field:   func(c *Config) *string { return &c.DataDir }, check: checkPath,
		},
		{
			Flag: "plugins", Env: "LUBOD_PLUGINS", Default: "plugins.hcl",
			Usage: "file that names the plugins", UsageZH: "插件配置文件",
			field: func(c *Config) *string { return &c.PluginsFile }, check: checkPath,
		},
		{
			Flag: "database-url", Env: DatabaseURLVariable,
			Usage:   "PostgreSQL to use (postgres://user@host/name), without a password: see --database-url-file; empty: a private one in the data directory",
			UsageZH: "使用的 PostgreSQL（postgres://用户@主机/库名），不含密码，见 --database-url-file；留空则在数据目录内运行内置数据库",
			field:   func(c *Config) *string { return &c.DatabaseURL }, check: checkDatabaseURL, checkFlag: refusePassword,
		},
		{
			Flag: "database-url-file", Env: DatabaseURLVariable + "_FILE",
			Usage:   "file that holds the URL of --database-url, password included, which everybody on the machine could read in the list of processes otherwise",
			UsageZH: "存放 --database-url 的文件，可含密码；写在命令行上的密码会被本机所有人在进程列表中看到",
			field:   func(c *Config) *string { return &c.DatabaseURLFile }, check: func(value string) (string, error) { return value, nil },
		},
		{
			Flag: "hosts", Env: "LUBOD_HOSTS",
			Usage:   "names, with commas between, by which the API may be called besides addresses and localhost; * is every name; empty: no other on a loopback address, else every one",
			UsageZH: "除 IP 地址和 localhost 外，可以用来访问 API 的主机名，用逗号分隔；* 表示任意；留空时，监听回环地址则没有其他名字，否则不限",
			field:   func(c *Config) *string { return &c.Hosts }, check: checkHosts,
		},
		{
			Flag: "qr-login", Env: "LUBOD_QR_LOGIN", Default: "public",
			Usage:   "who may log Bilibili accounts in by QR code: public, users (who are logged in) or off",
			UsageZH: "谁可以扫码登录 B 站账号：public（所有人）、users（已登录的用户）或 off（关闭）",
			field:   func(c *Config) *string { return &c.QRLogin }, check: checkQRLogin,
		},
		{
			Flag: "allow-addresses", Env: fetch.EnvAllowAddresses,
			Usage:   "networks, addresses and host names, with commas between, that webhooks, the proxy and sources may reach though they are not public",
			UsageZH: "允许 webhook、代理和直播源访问的非公网网段、地址和主机名，用逗号分隔",
			field:   func(c *Config) *string { return &c.AllowAddresses }, check: checkAllowed,
		},
		{
			Flag: "local-sources", Env: fetch.EnvLocalSources, Default: "true", Switch: true,
			Usage:   "let rooms have sources on this machine and in the networks around it; link-local addresses and metadata servers only --allow-addresses opens",
			UsageZH: "允许直播源位于本机和周围的网络；链路本地地址和云元数据服务只能由 --allow-addresses 放行",
			toggle:  func(c *Config) *bool { return &c.LocalSources },
		},
		{
			Flag: "allow-run-hooks", Env: "LUBOD_ALLOW_RUN_HOOKS", Default: "false", Switch: true,
			Usage:   "let the users of the API give streamers hooks that run commands on this machine",
			UsageZH: "允许 API 用户为主播设置在本机执行命令（run）的钩子",
			toggle:  func(c *Config) *bool { return &c.AllowRunHooks },
		},
		{
			Flag: "hook-dirs", Env: "LUBOD_HOOK_DIRS",
			Usage:   "folders, with colons between, into which hooks may move files besides those below the recordings",
			UsageZH: "除录像目录外，允许钩子（mv）移入文件的目录，用冒号分隔",
			field:   func(c *Config) *string { return &c.HookDirs }, check: checkDirs,
		},
		{
			Flag: "biliup-paths", Env: "LUBOD_BILIUP_PATHS", Default: "true", Switch: true,
			Usage:   "answer on biliup's own paths too (/v1/, /bili/, /static/), for its web page and scripts",
			UsageZH: "同时提供 biliup 自己的路径（/v1/、/bili/、/static/），供其网页和脚本使用",
			toggle:  func(c *Config) *bool { return &c.BiliupPaths },
		},
		{
			Flag: "biliup-page", Env: "LUBOD_BILIUP_PAGE",
			Usage:   "folder of biliup's exported web page (with its index.html), to be served at /",
			UsageZH: "biliup 网页导出后的目录（其中有 index.html），将在 / 提供",
			field:   func(c *Config) *string { return &c.BiliupPage }, check: checkPage,
		},
		{
			Env: "LUBOD_TEST_PACE", Default: "1",
			Usage:   "for tests only: multiplies every wait for the outside world",
			UsageZH: "仅供测试：所有等待外部世界的时间乘以此数",
			field:   func(c *Config) *string { return &c.TestPace }, check: checkPace,
		},
		bilibili("MEMBER", "https://member.bilibili.com", func(c *Config) *string { return &c.MemberURL }),
		bilibili("API", "https://api.bilibili.com", func(c *Config) *string { return &c.APIURL }),
		bilibili("PASSPORT", "https://passport.bilibili.com", func(c *Config) *string { return &c.PassportURL }),
	}
}

func checkPace(value string) (string, error) {
	if factor, err := strconv.ParseFloat(value, 64); err != nil || factor <= 0 || factor > 1 {
		return "", errors.New("must be a number above 0 and at most 1")
	}
	return value, nil
}

// DatabaseURLVariable names the one variable of the host that no plugin may ask for: it can hold a password.
const DatabaseURLVariable = "LUBOD_DATABASE_URL"

func bilibili(name, address string, field func(*Config) *string) Setting {
	host := strings.ToLower(name)
	return Setting{
		Env: "LUBOD_BILIBILI_" + name + "_URL", Default: address,
		Usage: "base URL of Bilibili's " + host + " server", UsageZH: "B 站 " + host + " 服务器的地址",
		field: field, check: checkBaseURL,
	}
}

// Load makes a Config. flag returns the value of a flag and whether it was given on the command line; getenv looks a
// variable up. The error names every setting that is wrong.
func Load(flag func(name string) (string, bool), getenv func(name string) string) (Config, error) {
	var (
		c        Config
		problems []error
	)
	for _, setting := range Settings() {
		value, source, err := setting.value(flag, getenv)
		if err == nil {
			err = setting.take(&c, value)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", source, err))
		}
	}
	if err := c.readDatabaseURL(); err != nil {
		problems = append(problems, fmt.Errorf("--database-url-file (or %s_FILE): %w", DatabaseURLVariable, err))
	}
	if c.BiliupPage != "" && !c.BiliupPaths {
		problems = append(problems, errors.New("--biliup-page (or LUBOD_BILIUP_PAGE): the page works with biliup's paths only; leave out --biliup-paths=false"))
	}
	if len(problems) > 0 {
		return Config{}, errors.Join(problems...)
	}
	return c, nil
}

// take checks a value and puts it into its place.
func (s Setting) take(c *Config, value string) error {
	if s.Switch {
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%q must be true or false", value)
		}
		*s.toggle(c) = on
		return nil
	}
	checked, err := s.check(value)
	if err != nil {
		return err
	}
	*s.field(c) = checked
	return nil
}

// readDatabaseURL takes the URL out of its file.
func (c *Config) readDatabaseURL() error {
	if c.DatabaseURLFile == "" {
		return nil
	}
	if c.DatabaseURL != "" {
		return errors.New("a URL is given as well; give one of the two")
	}
	text, err := os.ReadFile(c.DatabaseURLFile)
	if err != nil {
		return fmt.Errorf("cannot be read: %w", err)
	}
	if c.DatabaseURL, err = checkDatabaseURL(strings.TrimSpace(string(text))); err == nil && c.DatabaseURL == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		return fmt.Errorf("%s %w", c.DatabaseURLFile, err)
	}
	return nil
}

// refusePassword keeps the password of a database off the command line.
func refusePassword(value string) error {
	if !HoldsPassword(value) {
		return nil
	}
	return errors.New("holds a password, and everybody on this machine can read it in the list of processes; put the URL into the variable " +
		DatabaseURLVariable + ", or into a file that --database-url-file names")
}

// HoldsPassword tells whether the URL of a database holds a password.
func HoldsPassword(value string) bool {
	address, err := url.Parse(value)
	if err != nil {
		return false
	}
	_, inUser := address.User.Password()
	query := address.Query()
	return inUser || query.Has("password") || query.Has("sslpassword")
}

// value returns the value that applies and the words that name where it came from; err is what is wrong with its being there.
func (s Setting) value(flag func(string) (string, bool), getenv func(string) string) (value, source string, err error) {
	names := s.Env
	if s.Flag != "" {
		names = "--" + s.Flag + " (or " + s.Env + ")"
		if value, given := flag(s.Flag); given {
			if s.checkFlag != nil {
				err = s.checkFlag(value)
			}
			return value, names, err
		}
	}
	if value := getenv(s.Env); value != "" {
		if s.Flag != "" {
			names = s.Env + " (or --" + s.Flag + ")"
		}
		return value, names, nil
	}
	return s.Default, names, nil
}

func checkListen(value string) (string, error) {
	_, port, err := net.SplitHostPort(value)
	if err != nil {
		return "", fmt.Errorf("%q is no address to listen on; write host:port, for example 127.0.0.1:19159", value)
	}
	if number, err := strconv.Atoi(port); err != nil || number < 0 || number > 65535 {
		return "", fmt.Errorf("port %q in %q must be a number from 0 to 65535", port, value)
	}
	return value, nil
}

func checkPath(value string) (string, error) {
	if strings.TrimSpace(value) == "" {
		return "", errors.New("must not be empty; write a path")
	}
	if strings.ContainsRune(value, 0) {
		return "", errors.New("must not contain a zero byte")
	}
	path, err := filepath.Abs(value)
	if err != nil {
		return "", fmt.Errorf("make %q absolute: %w", value, err)
	}
	return path, nil
}

// checkDatabaseURL never quotes the value: it can hold a password.
func checkDatabaseURL(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	address, err := url.Parse(value)
	if err != nil || (address.Scheme != "postgres" && address.Scheme != "postgresql") {
		return "", errors.New("is no PostgreSQL URL; write postgres://user:password@host:port/name")
	}
	return value, nil
}

func checkHosts(value string) (string, error) {
	var hosts []string
	for host := range strings.SplitSeq(value, ",") {
		host = strings.TrimSpace(host)
		if strings.ContainsAny(host, "/:[] \t") || (strings.Contains(host, "*") && host != "*") {
			return "", fmt.Errorf("%q is no host name; write names without scheme and port, for example rec.example.org", host)
		}
		if host != "" {
			hosts = append(hosts, host)
		}
	}
	return strings.Join(hosts, ","), nil
}

func checkQRLogin(value string) (string, error) {
	switch value {
	case "public", "users", "off":
		return value, nil
	}
	return "", fmt.Errorf("%q must be public, users or off", value)
}

// checkDirs takes a list of absolute folders. They need not exist yet: a disk may be mounted later.
func checkDirs(value string) (string, error) {
	var dirs []string
	for _, dir := range filepath.SplitList(value) {
		if strings.TrimSpace(dir) == "" {
			continue
		}
		if !filepath.IsAbs(dir) || strings.ContainsRune(dir, 0) {
			return "", fmt.Errorf("%q is no absolute path; write for example /mnt/nas:/srv/videos", dir)
		}
		dirs = append(dirs, filepath.Clean(dir))
	}
	return strings.Join(dirs, string(filepath.ListSeparator)), nil
}

func checkPage(value string) (string, error) {
	if value == "" {
		return "", nil
	}
	dir, err := checkPath(value)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(filepath.Join(dir, "index.html")); err != nil || !info.Mode().IsRegular() {
		return "", fmt.Errorf("%q holds no index.html; write the folder that biliup's page was exported to", value)
	}
	return dir, nil
}

func checkAllowed(value string) (string, error) {
	_, err := fetch.ParseAllowed(value)
	return value, err
}

func checkBaseURL(value string) (string, error) {
	address, err := url.Parse(value)
	if err != nil || address.Host == "" || (address.Scheme != "http" && address.Scheme != "https") {
		return "", fmt.Errorf("%q is no base URL; write http://host:port or https://host", value)
	}
	if address.RawQuery != "" || address.Fragment != "" || address.User != nil {
		return "", fmt.Errorf("%q must be a scheme, a host and at most a path", value)
	}
	return strings.TrimRight(value, "/"), nil
}
