// Package handshake holds what both ends of a plugin process must agree on before the first call.
package handshake

import (
	"time"

	"github.com/hashicorp/go-plugin"
)

// ProtocolVersion is the major version of the contract in sdk/proto: packages lubod.*.v1 are served under number 1.
const ProtocolVersion = 1

// Revision counts the additions to that version. A side refuses a peer below MinRevision: what was built before version 1 was
// final answers with 0, and means other things by the same fields. A higher one is a newer peer, which says nothing that may not
// be passed over.
const (
	Revision    = 1
	MinRevision = 1
)

// MaxMessage bounds one gRPC message in bytes, on both sides: rooms have long lists of streams and recordings long lists of
// segments; media never crosses.
const MaxMessage = 16 << 20

// Service is the one name in the plugin set: a process serves one plugin, whatever its kind.
const Service = "lubod"

// The environment that a host gives a plugin process.
const (
	EnvInstance  = "LUBOD_PLUGIN_INSTANCE"
	EnvLevel     = "LUBOD_PLUGIN_LEVEL"
	EnvDetached  = "LUBOD_PLUGIN_DETACHED"
	EnvLog       = "LUBOD_PLUGIN_LOG"
	EnvOrphanTTL = "LUBOD_PLUGIN_ORPHAN_TTL"
	EnvKeptTTL   = "LUBOD_PLUGIN_KEPT_TTL"
)

// The cookie tells a start by a host from a start by hand. It is no secret, and never changes: another value would make
// old plugins refuse new hosts with a misleading text.
const (
	CookieKey   = "LUBOD_PLUGIN"
	CookieValue = "3f9c0a55-1d0e-4f5b-9a43-6f9b6f0cf1a7"
)

// DefaultOrphanTTL is how long a detached plugin goes on without a host.
const DefaultOrphanTTL = 12 * time.Hour

// DefaultKeptTTL is how long a detached plugin without a host keeps what is over and was not acknowledged. The files are on the
// disk, where the next host finds them by itself.
const DefaultKeptTTL = 5 * time.Minute

// Config is the go-plugin form of the cookie.
func Config() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   CookieKey,
		MagicCookieValue: CookieValue,
	}
}
