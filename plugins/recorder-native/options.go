package main

import (
	"time"

	"github.com/lubod/lubod/sdk"
)

// options are what an operator can set, for all rooms or for one.
type options struct {
	IdleTimeout    int    `json:"native_idle_timeout_s" default:"30" min:"1" max:"3600" room:"true" unit:"s" en:"A connection that delivers no media for so long is given up; what was recorded is kept." zh:"连接超过该时长没有收到媒体数据即放弃，已录制的内容会保留。"`
	ConnectTimeout int    `json:"native_connect_timeout_s" default:"10" min:"1" max:"3600" room:"true" unit:"s" en:"How long connecting, and the answer of the server after it, may take." zh:"建立连接以及之后等待服务器响应的最长时间。"`
	Reconnect      int    `json:"native_reconnect_s" default:"10" min:"0" max:"3600" room:"true" unit:"s" en:"How long to try again after the network broke in the middle of a stream; 0: not at all." zh:"直播中途网络中断后持续尝试重连的时长；0 表示不重连。"`
	UserAgent      string `json:"user_agent" room:"true" default:"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36" en:"User-Agent of media requests that bring none of their own." zh:"媒体请求未自带 User-Agent 时使用的值。"`
}

func (o options) validate() error {
	for _, s := range []struct {
		name         string
		value, least int
	}{
		{"native_idle_timeout_s", o.IdleTimeout, 1},
		{"native_connect_timeout_s", o.ConnectTimeout, 1},
		{"native_reconnect_s", o.Reconnect, 0},
	} {
		if s.value < s.least {
			return sdk.Errorf(sdk.InvalidOption, "%s must be at least %d, not %d", s.name, s.least, s.value)
		}
	}
	return nil
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
