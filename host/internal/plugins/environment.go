package plugins

import (
	"strings"

	"github.com/lubod/lubod/sdk/wire"
)

// inherited are the only variables of the host that a plugin sees: where programs, home, temporary files, certificates
// and proxies are, and how people here write text and time. Everything else, secrets above all, stays with the host.
func inherited() []string {
	return []string{
		"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
	}
}

// environment is what one process gets, beside what go-plugin adds for the handshake.
func (m *Manager) environment(l *launch) []string {
	var env []string
	for _, name := range inherited() {
		if value := m.options.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	if user := l.block.User; user != nil {
		env = append(env, "HOME="+user.Home) // the last one counts
	}
	env = append(env, m.options.Env...)
	env = append(env,
		wire.EnvInstance+"="+l.id,
		wire.EnvLevel+"="+strings.ToLower(m.options.Level.String()),
	)
	if l.detached {
		env = append(env, wire.EnvDetached+"=1", wire.EnvLog+"="+l.logFile)
		if m.options.OrphanTTL > 0 {
			env = append(env, wire.EnvOrphanTTL+"="+m.options.OrphanTTL.String())
		}
	}
	return env
}
