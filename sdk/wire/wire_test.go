package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-plugin"

	pluginv1 "github.com/lubod/lubod/sdk/internal/gen/lubod/plugin/v1"
	"github.com/lubod/lubod/sdk/wire"
)

func TestVersionIsThatOfTheContract(t *testing.T) {
	pkg := string(pluginv1.File_lubod_plugin_v1_plugin_proto.Package())
	if want := fmt.Sprintf(".v%d", wire.ProtocolVersion); !strings.HasSuffix(pkg, want) {
		t.Errorf("ProtocolVersion is %d, the contract is %s", wire.ProtocolVersion, pkg)
	}
	if _, ok := wire.VersionedPlugins()[wire.ProtocolVersion]; !ok || len(wire.VersionedPlugins()) != 1 {
		t.Error("the offered versions are not the version")
	}
}

// A released cookie must stay: another one makes old plugins refuse new hosts with a misleading text.
func TestCookieNeverChanges(t *testing.T) {
	h := wire.Handshake()
	if h.MagicCookieKey != "LUBOD_PLUGIN" || h.MagicCookieValue != "3f9c0a55-1d0e-4f5b-9a43-6f9b6f0cf1a7" {
		t.Errorf("got %+v", h)
	}
}

// strange is a connection that was not made with our plugin set.
type strange struct{ plugin.ClientProtocol }

func (strange) Dispense(string) (any, error) { return 1, nil }

func TestConnectOverAnotherPluginSet(t *testing.T) {
	if _, err := wire.Connect(strange{}); err == nil || !strings.Contains(err.Error(), "wire.Plugins") {
		t.Errorf("got %v", err)
	}
}
