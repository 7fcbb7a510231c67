package main

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/lubod/lubod/sdk"
	"github.com/lubod/lubod/sdk/extractor"
)

// options carry the names that users of biliup know; those without bili_ are about how this program asks.
type options struct {
	Quality     int      `json:"bili_qn" room:"true" default:"25000" allowed:"30000,25000,20000,15000,10000,401,400,250,150,80,0" en:"Wanted quality: 30000 Dolby, 25000 true origin, 20000 4K, 15000 2K, 10000 origin, 401 and 400 Blu-ray, 250, 150, 80 smooth, 0 whatever the platform chooses. Without a login Bilibili gives less." zh:"期望画质：30000 杜比，25000 原画真彩，20000 4K，15000 2K，10000 原画，401/400 蓝光，250 超清，150 高清，80 流畅，0 由平台决定。未登录时 B 站会降低画质。"`
	Protocol    string   `json:"bili_protocol" room:"true" default:"stream" allowed:"stream,hls_ts,hls_fmp4" en:"Preferred form of the stream: stream (HTTP-FLV), hls_ts or hls_fmp4. The others follow as a second choice." zh:"优先使用的流格式：stream（HTTP-FLV）、hls_ts 或 hls_fmp4，其余作为后备。"`
	Codecs      []string `json:"bili_codec" room:"true" default:"avc" allowed:"avc,hevc,av1" en:"Codecs to ask for, the preferred one first." zh:"请求的视频编码，靠前者优先。"`
	CDN         []string `json:"bili_cdn" room:"true" pattern:"^(?:cn|ov)-gotcha[0-9]+$" en:"Preferred delivery networks in order, such as cn-gotcha204 or ov-gotcha05." zh:"优先使用的 CDN，按顺序填写，例如 cn-gotcha204、ov-gotcha05。"`
	CDNFallback bool     `json:"bili_cdn_fallback" room:"true" default:"false" en:"Try the stream addresses and put the first one that answers in front." zh:"检测各个流地址是否可用，并优先使用首个可用地址。"`
	HLSTimeout  int64    `json:"bili_hls_transcode_timeout" room:"true" default:"60" min:"0" max:"86400" unit:"s" en:"With hls_fmp4 and an origin quality: how long after its start a broadcast may lack it before FLV is taken." zh:"使用 hls_fmp4 且要求原画时，开播后等待原画出现的最长时间，超时后改用 FLV。"`
	Anonymous   bool     `json:"bili_anonymous_origin" room:"true" default:"false" en:"With hls_fmp4: look for the origin quality in the master playlist, which may offer it without a login." zh:"使用 hls_fmp4 时，尝试从主播放列表获取原画（可能无需登录）。"`
	LiveAPI     string   `json:"bili_liveapi" room:"true" en:"Server to ask for streams instead of live_url, for example a mirror inside mainland China. A mirror does not get your login cookies." zh:"获取直播流所用的接口服务器，可填写位于中国大陆的反代；登录 cookie 不会发送给反代。"`
	FallbackAPI string   `json:"bili_fallback_api" room:"true" en:"Server to ask when bili_liveapi fails; default: live_url." zh:"bili_liveapi 失败时改用的接口服务器，默认与 live_url 相同。"`
	UseWBI      string   `json:"bili_use_wbi" room:"true" default:"auto" allowed:"auto,always,never" en:"When to sign requests: auto (where the platform demands it), always, never (asks calls that need no signature)." zh:"何时对请求进行 WBI 签名：auto（平台要求时）、always（总是）、never（只使用无需签名的接口）。"`
	Cookie      string   `json:"bili_cookie" room:"true" format:"cookies" secret:"true" en:"Cookies of a login, as a browser sends them: SESSDATA=…; bili_jct=…" zh:"登录后的 cookie，格式与浏览器一致：SESSDATA=…; bili_jct=…"`
	CookieFile  string   `json:"bili_cookie_file" room:"true" format:"login_file" en:"File with the cookies of a login, as lubod and biliup write it (cookies.json). In /configuration and override it is a file in the data directory. bili_cookie goes first." zh:"登录信息文件（lubod 或 biliup 生成的 cookies.json）；在 /configuration 与 override 中须为数据目录中的文件。同时填写时以 bili_cookie 为准。"`
	ForceSource bool     `json:"bili_force_source" room:"true" default:"false" en:"Accepted so that configurations of biliup load; without effect, as there: use bili_qn." zh:"仅为兼容 biliup 的配置而保留，与其一致不再生效，请使用 bili_qn。"`
	ReplaceCN01 []string `json:"bili_replace_cn01" room:"true" en:"Accepted so that configurations of biliup load; without effect, as there: use bili_cdn." zh:"仅为兼容 biliup 的配置而保留，与其一致不再生效，请使用 bili_cdn。"`

	Batch    bool   `json:"bili_batch" default:"true" en:"Ask about many rooms with one request. Switch it off when the platform answers such requests wrongly." zh:"用一次请求查询多个直播间的状态；若平台对此类请求返回异常，可关闭。"`
	Interval int64  `json:"request_interval" default:"1000" min:"0" unit:"ms" en:"Least average time between two requests to the same server of Bilibili, which bans addresses that ask too often." zh:"对同一服务器两次请求之间的最小平均间隔；请求过于频繁会被 B 站封禁 IP。"`
	LiveURL  string `json:"live_url" default:"https://api.live.bilibili.com" env:"LUBOD_BILIBILI_LIVE_URL" en:"Base URL of the live API. Change it only for tests." zh:"直播接口的基础地址，仅测试时需要修改。"`
	APIURL   string `json:"api_url" default:"https://api.bilibili.com" env:"LUBOD_BILIBILI_LIVE_API_URL" en:"Base URL of the main API, which gives signing keys and visitor ids. Change it only for tests." zh:"主站接口（签名密钥与访客标识）的基础地址，仅测试时需要修改。"`
	ShortURL string `json:"short_url" default:"https://b23.tv" env:"LUBOD_BILIBILI_SHORT_URL" en:"Base URL of the short links. Change it only for tests." zh:"短链接服务的基础地址，仅测试时需要修改。"`
}

var cdnName = regexp.MustCompile(`^(?:cn|ov)-gotcha[0-9]+$`)

// checked returns o with complete base URLs.
func (o options) checked() (options, error) {
	for _, name := range o.CDN {
		if !cdnName.MatchString(name) {
			return o, sdk.Errorf(sdk.InvalidOption, "option bili_cdn: %q is no delivery network; write cn-gotcha or ov-gotcha and a number", name)
		}
	}
	if o.HLSTimeout < 0 || o.Interval < 0 {
		return o, sdk.Errorf(sdk.InvalidOption, "options bili_hls_transcode_timeout and request_interval must not be negative")
	}
	if len(o.Codecs) == 0 {
		return o, sdk.Errorf(sdk.InvalidOption, "option bili_codec must name at least one of avc, hevc, av1")
	}
	for _, set := range []struct {
		name string
		base *string
	}{
		{"live_url", &o.LiveURL},
		{"api_url", &o.APIURL},
		{"short_url", &o.ShortURL},
		{"bili_liveapi", &o.LiveAPI}, // from here on empty means live_url, which is complete by now
		{"bili_fallback_api", &o.FallbackAPI},
	} {
		if *set.base == "" && strings.HasPrefix(set.name, "bili_") {
			*set.base = o.LiveURL
		}
		complete, ok := baseURL(*set.base)
		if !ok {
			return o, sdk.Errorf(sdk.InvalidOption, "option %s must be an http or https address such as https://api.live.bilibili.com", set.name)
		}
		*set.base = complete
	}
	return o, nil
}

// baseURL completes an address without scheme with http, as users of mirrors are used to.
func baseURL(raw string) (string, bool) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", false
	}
	return strings.TrimRight(raw, "/"), true
}

// ofRoom returns the options for one room. Where cookies go to is not for a room to say.
func (o options) ofRoom(ref extractor.Ref) (options, error) {
	room, err := extractor.Options(ref, o)
	if err != nil {
		return o, err
	}
	if room.LiveURL != o.LiveURL || room.APIURL != o.APIURL || room.ShortURL != o.ShortURL || room.Interval != o.Interval {
		return o, sdk.Errorf(sdk.InvalidOption, "options live_url, api_url, short_url and request_interval cannot be set for a single room; set them in plugins.hcl")
	}
	return room.checked()
}
