// Command recorder-native records HTTP-FLV streams into FLV files.
package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/lubod/lubod/plugins/recorder-native/internal/segment"
	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/recorder"
)

var info = sdk.Info{Name: "native", Version: "0.1.0"}

type options struct {
	IdleTimeout    int    `json:"idle_timeout_s" default:"30" unit:"s" en:"A stream that sends nothing for so long has ended." zh:"直播流超过该时长没有数据即视为结束。"`
	ConnectTimeout int    `json:"connect_timeout_s" default:"10" unit:"s" en:"How long opening a connection may take, and the answer after it." zh:"建立连接及等待响应的时限。"`
	UserAgent      string `json:"user_agent" default:"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36" en:"User-Agent of media requests that bring none of their own." zh:"媒体请求默认的 User-Agent。"`
}

func main() { recorder.Serve(info, newNative) }

// native records sessions; it is safe for many at once.
type native struct {
	options options
	http    *http.Client
}

var (
	_ recorder.Recorder  = (*native)(nil)
	_ recorder.Recoverer = (*native)(nil)
)

func newNative(ctx context.Context, o options) (*native, error) {
	for _, seconds := range []struct {
		name  string
		value int
	}{{"idle_timeout_s", o.IdleTimeout}, {"connect_timeout_s", o.ConnectTimeout}} {
		if seconds.value < 1 {
			return nil, sdk.Errorf(sdk.InvalidOption, "%s must be at least 1, not %d", seconds.name, seconds.value)
		}
	}
	connect := time.Duration(o.ConnectTimeout) * time.Second
	// Every session has a connection of its own, and large reads go past the transport's buffer.
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connect}).DialContext,
		TLSHandshakeTimeout:   connect,
		ResponseHeaderTimeout: connect,
		DisableKeepAlives:     true,
		DisableCompression:    true,
	}
	context.AfterFunc(ctx, transport.CloseIdleConnections)
	return &native{options: o, http: &http.Client{Transport: transport}}, nil
}

// Recover finishes the files of a dead session.
func (n *native) Recover(ctx context.Context, pathPrefix string) ([]recorder.Segment, error) {
	return segment.Recover(ctx, pathPrefix)
}
