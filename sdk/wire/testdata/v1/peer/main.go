// Command peer is a plugin or a host of the day on which version 1 of the contract became final.
//
//	peer extractor|line|recorder          serves a plugin
//	peer host PLUGIN OPTIONS WORD…        launches a plugin, calls it and prints its answers
package main

import (
	"os"

	"github.com/hashicorp/go-plugin"
)

// handshake is that of version 1.
func handshake() plugin.HandshakeConfig {
	return plugin.HandshakeConfig{
		ProtocolVersion: 1, MagicCookieKey: "LUBOD_PLUGIN", MagicCookieValue: "3f9c0a55-1d0e-4f5b-9a43-6f9b6f0cf1a7",
	}
}

func main() {
	switch os.Args[1] {
	case "host":
		if err := host(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
	default:
		serve(os.Args[1])
	}
}
