package settings

import (
	"encoding/json"
	"slices"

	"github.com/lubod/lubod/sdk"
)

// waiting are settings of biliup that its users have and that nothing here takes yet: their names, and whether the value is a
// secret. They are kept, so that nothing is lost that somebody chose, and shown to have no effect. As soon as a plugin declares
// one, it is that plugin's.
var waiting = map[string]bool{
	"sync_save_dir": false, "segment_processor_parallel": false, "checker_sleep": false, "uploader": false,
	"max_upload_limit": false, "loggers_level": false, "LOGGING": false,
	"bili_anonymous_origin": false, "bili_cdn": false, "bili_cdn_fallback": false, "bili_cookie": true, "bili_cookie_file": false,
	"bili_fallback_api": false, "bili_force_source": false, "bili_hls_transcode_timeout": false, "bili_liveapi": false,
	"bili_normalize_cn204": false, "bili_ov2cn": false, "bili_protocol": false, "bili_qn": false, "bili_replace_cn01": false,
	"bilibili_danmaku": false, "bilibili_danmaku_detail": false, "bilibili_danmaku_raw": false,
	"cc_protocol": false, "kila_protocol": false, "kuaishou_cookie": true,
	"douyin_cookie": true, "douyin_danmaku": false, "douyin_double_screen": false, "douyin_protocol": false, "douyin_quality": false,
	"douyin_true_origin": false,
	"douyu_cdn":          false, "douyu_danmaku": false, "douyu_disable_interactive_game": false, "douyu_force_hs": false, "douyu_rate": false,
	"huya_cdn": false, "huya_cdn_fallback": false, "huya_codec": false, "huya_danmaku": false, "huya_imgplus": false, "huya_max_ratio": false,
	"huya_mobile_api": false, "huya_protocol": false, "huya_use_wup": false,
	"twitcasting_cookie": true, "twitcasting_danmaku": false, "twitcasting_password": true, "twitcasting_quality": false,
	"twitch_cookie": true, "twitch_danmaku": false, "twitch_disable_ads": false,
	"youtube_after_date": false, "youtube_before_date": false, "youtube_cookie": true, "youtube_danmaku": false,
	"youtube_enable_download_live": false, "youtube_enable_download_playback": false, "youtube_max_resolution": false,
	"youtube_max_videosize": false, "youtube_prefer_acodec": false, "youtube_prefer_vcodec": false, "ytb_danmaku": false,
	"niconico-email": true, "niconico-password": true, "niconico-user-session": true, "niconico-purge-credentials": true,
	"afreecatv_username": true, "afreecatv_password": true,
}

// waitingFormats are the formats, as Catalog.Format tells them, of those that are more than their type.
var waitingFormats = map[string]string{"bili_cookie_file": sdk.FormatLoginFile}

// waits tells whether a key is one of biliup's that nothing here takes yet.
func (c *Catalog) waits(key string) bool {
	_, known := waiting[key]
	return known && c.entries[key] == nil
}

// Biliups tells whether a key that is no setting of lubod itself is one of biliup's.
func Biliups(key string) bool {
	_, known := waiting[key]
	return known
}

// WithoutEffect names the keys of plugins among those that are stored which change nothing at the moment: no plugin that is
// installed and running takes them.
func (c *Catalog) WithoutEffect(stored map[string]json.RawMessage) []string {
	var names []string
	for key, value := range stored {
		if c.option(key) == nil && !isNull(value) {
			names = append(names, key)
		}
	}
	slices.Sort(names)
	return names
}
