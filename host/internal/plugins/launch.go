package plugins

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"github.com/hashicorp/go-plugin/runner"

	"github.com/lubod/lubod/host/internal/config"
	"github.com/lubod/lubod/host/internal/plugins/process"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/wire"
)

// launch is one attempt to bring a plugin up.
type launch struct {
	block    config.Plugin
	id       string
	isolate  string
	detached bool
	file     string
	logFile  string
	lines    *lines
	child    *process.Child
	client   *plugin.Client
}

// bring starts a process of a plugin and takes it through Describe, Configure and Health. Whatever fails, nothing of it
// is left; the error is a *LaunchError.
func (m *Manager) bring(ctx context.Context, block config.Plugin, isolate string) (*instance, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(m.life, cancel)()

	l := &launch{block: block, id: uuid.NewString(), isolate: isolate, detached: block.Kind == sdk.KindRecorder}
	var err error
	if l.file, err = hashFile(block.Path); err != nil {
		return nil, explainFile(block, err)
	}
	if block.SHA256 != "" {
		if err := verify(block, l.file); err != nil {
			return nil, err
		}
	}
	inst, err := m.start(ctx, l)
	if err != nil {
		return nil, err
	}
	if err := m.introduce(ctx, inst, block); err != nil {
		m.discard(inst)
		return nil, withLastWords(err, inst, l)
	}
	if inst.detached {
		if err := m.runDir.WriteRecord(inst.record()); err != nil {
			m.discard(inst)
			return nil, &LaunchError{Plugin: block.Name, Where: where(block), Problem: err.Error(), Err: err}
		}
	}
	return inst, nil
}

// start executes the binary and shakes hands.
func (m *Manager) start(ctx context.Context, l *launch) (*instance, error) {
	dir, err := m.runDir.MakeSocketDir(l.id)
	if err != nil {
		return nil, &LaunchError{Plugin: l.block.Name, Problem: err.Error(), Err: err}
	}
	l.logFile = filepath.Join(m.options.LogDir, l.block.Name+"-"+process.ShortID(l.id)+".log")
	if err := m.lend(l, dir); err != nil {
		_ = os.RemoveAll(dir)
		return nil, &LaunchError{Plugin: l.block.Name, Where: where(l.block), Problem: err.Error(), Err: err}
	}
	l.lines = newLines(m.logger, l.block.Name)
	l.child = process.NewChild(l.block.Path, l.detached, l.lines.setPid)
	if user := l.block.User; user != nil {
		l.child.RunAs(user.UID, user.GID, user.Groups)
	}
	l.client = plugin.NewClient(m.clientConfig(l, dir))
	stop := context.AfterFunc(ctx, l.child.End)
	began := m.options.clock.Now()
	protocol, err := l.client.Client()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	var conn *wire.Conn
	if err == nil {
		conn, err = wire.Connect(protocol)
	}
	if err != nil {
		explained := m.explainStart(ctx, l, err, m.options.clock.Now().Sub(began))
		l.abandon()
		_ = os.RemoveAll(dir)
		return nil, explained
	}
	inst := newInstance(l.block, l.id, l.isolate, l.child)
	if l.block.User != nil {
		inst.uid = &l.block.User.UID
	}
	inst.file, inst.logFile, inst.lines, inst.protocol = l.file, l.logFile, l.lines, l.client.NegotiatedVersion()
	inst.socket = l.client.ReattachConfig().Addr.String()
	conn.Host = m.about()
	inst.connect(l.client, protocol, conn)
	inst.started = m.options.clock.Now()
	return inst, nil
}

func (l *launch) abandon() {
	l.child.End()
	l.client.Kill() // joins go-plugin's goroutines
	l.lines.Flush()
}

// clientConfig is made afresh for every start, like the command in it: go-plugin's client, and the hash in its
// SecureConfig, cannot be used twice.
func (m *Manager) clientConfig(l *launch, dir string) *plugin.ClientConfig {
	timeout := m.options.StartTimeout
	if l.block.Limits.StartTimeout > 0 {
		timeout = l.block.Limits.StartTimeout
	}
	return &plugin.ClientConfig{
		HandshakeConfig:  wire.Handshake(),
		VersionedPlugins: wire.VersionedPlugins(),
		RunnerFunc: func(_ hclog.Logger, handshake *exec.Cmd, _ string) (runner.Runner, error) {
			env := append(m.environment(l), handshake.Env...)
			l.child.SetEnv(append(env, plugin.EnvUnixSocketDir+"="+dir))
			return l.child, nil
		},
		// Certificates would bind a detached process to this very host; its socket is protected by its directory.
		AutoMTLS:         !l.detached,
		SkipHostEnv:      true,
		StartTimeout:     timeout,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		UnixSocketConfig: &plugin.UnixSocketConfig{TempDir: dir},
		// A logger that is off keeps go-plugin from parsing what plugins write, in which it can panic.
		Logger: silent(),
		Stderr: l.lines,
	}
}

func silent() hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard})
}

// about is what plugins are told of this host.
func (m *Manager) about() sdk.Host {
	return sdk.Host{Version: m.options.Version, Capabilities: []string{sdk.HostTimeline, sdk.HostPurpose}}
}

// introduce asks a fresh process who it is and hands it its options.
func (m *Manager) introduce(ctx context.Context, inst *instance, block config.Plugin) error {
	if err := inst.describe(ctx); err != nil {
		return &LaunchError{Plugin: block.Name, Where: where(block), Problem: "does not describe itself: " + err.Error(), Err: err}
	}
	if problem := inst.mistaken(block); problem != "" {
		return &LaunchError{Plugin: block.Name, Where: where(block), Problem: problem, Permanent: true}
	}
	options, err := config.DecodeOptions(block, inst.description().Options, m.options.Getenv)
	if err != nil {
		return &LaunchError{Plugin: block.Name, Problem: err.Error(), Permanent: true, Err: err}
	}
	inst.print = m.fingerprint(block, inst.file, options)
	if err := inst.configure(ctx, options); err != nil {
		return &LaunchError{
			Plugin: block.Name, Where: where(block), Problem: "refuses its options: " + err.Error(),
			Permanent: sdk.KindOf(err) == sdk.InvalidOption, Err: err,
		}
	}
	if err := inst.describe(ctx); err != nil { // some abilities are known only now
		return &LaunchError{Plugin: block.Name, Where: where(block), Problem: "does not describe itself: " + err.Error(), Err: err}
	}
	if err := inst.health(ctx); err != nil {
		return &LaunchError{Plugin: block.Name, Where: where(block), Problem: "is not healthy: " + err.Error(), Err: err}
	}
	return nil
}

// fingerprint is what a process of a plugin is known by. What all plugins are told belongs to it: a process that was told
// otherwise is another one.
func (m *Manager) fingerprint(block config.Plugin, file string, options []byte) process.Fingerprint {
	told := strings.Join(m.options.Env, "\x00")
	if block.User != nil {
		told += "\x00user " + strconv.Itoa(block.User.UID)
	}
	return process.NewFingerprint(block.Path, file, slices.Concat(options, []byte(told)))
}

// mistaken says in what a process is not the plugin that its block names, or nothing.
func (inst *instance) mistaken(block config.Plugin) string {
	description := inst.description()
	switch {
	case description.Kind != block.Kind || description.Name != block.ShortName():
		return fmt.Sprintf("the file %s is the plugin %s-%s; name the block %[2]s-%[3]s, or set path to the file of %[4]s",
			block.Path, description.Kind, description.Name, block.Name)
	case description.Revision < wire.MinRevision:
		return fmt.Sprintf("the plugin was built with revision %d of the contract, from before version 1 was final; build it anew, or install one of this version of lubod",
			description.Revision)
	case description.Instance != inst.id:
		return fmt.Sprintf("the process answers for instance %q, not for %q", description.Instance, inst.id)
	case description.Kind == sdk.KindLine && len(description.Lines) == 0:
		return "the plugin is faulty: it is a line and names no line"
	case description.Kind == sdk.KindExtractor && len(description.Match) == 0:
		return "the plugin is faulty: it is an extractor and takes no URL"
	}
	for _, pattern := range description.Match {
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Sprintf("the plugin is faulty: its URL pattern %q does not compile: %v", pattern, err)
		}
	}
	return ""
}

// discard ends a process that was never used.
func (m *Manager) discard(inst *instance) {
	inst.kill(m.options.killGrace)
	inst.lines.Flush()
	m.runDir.Forget(inst.id)
}

func hashFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err //nolint:wrapcheck // explainFile looks at it
	}
	defer func() { _ = file.Close() }()
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", errNotAFile
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return "", err //nolint:wrapcheck // explainFile looks at it
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

var errNotAFile = errors.New("is not a regular file")

// verify checks the binary against the checksum in plugins.hcl.
func verify(block config.Plugin, found string) error {
	wanted, err := hex.DecodeString(block.SHA256)
	if err != nil {
		return &LaunchError{Plugin: block.Name, Where: where(block), Problem: "sha256 is not hexadecimal", Permanent: true, Err: err}
	}
	// A fresh SecureConfig each time: its hash keeps what it has seen.
	secure := plugin.SecureConfig{Checksum: wanted, Hash: sha256.New()}
	ok, err := secure.Check(block.Path)
	if err != nil {
		return explainFile(block, err)
	}
	if ok {
		return nil
	}
	return &LaunchError{
		Plugin: block.Name, Where: where(block), Permanent: true, Err: plugin.ErrChecksumsDoNotMatch,
		Problem: fmt.Sprintf("the checksum of %s is %s, plugins.hcl says %s; install the right file, or correct sha256 if you trust this one",
			block.Path, found, block.SHA256),
	}
}

func where(block config.Plugin) string {
	if block.Range.Filename == "" {
		return ""
	}
	return block.Range.String()
}

// record is how the next host finds this process.
func (inst *instance) record() process.Record {
	return process.Record{
		Plugin: inst.label, Instance: inst.id, Isolate: inst.isolate, Version: inst.description().Version, Protocol: inst.protocol,
		Pid: inst.process.Pid(), Start: process.StartOf(inst.process.Pid()), Socket: inst.socket, Log: inst.logFile,
		LaunchedAt: time.Now().UTC(), Print: inst.print, UID: inst.uid,
	}
}
