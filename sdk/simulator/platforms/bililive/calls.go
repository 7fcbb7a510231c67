package bililive

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

var playParameters = []string{"qn", "platform", "protocol", "format", "codec"}

func (s *Server) calls() map[string]rules {
	return map[string]rules{
		"/x/web-interface/nav":                     {free: true, handle: s.nav},
		"/x/frontend/finger/spi":                   {free: true, handle: s.finger},
		"/xlive/web-room/v1/index/getInfoByRoom":   {required: []string{"room_id", "web_location"}, signed: true, handle: s.info},
		"/room/v1/Room/room_init":                  {required: []string{"id"}, handle: s.roomInit},
		"/room/v1/Room/get_status_info_by_uids":    {required: []string{"uids[]"}, repeated: true, free: true, handle: s.statuses},
		"/xlive/web-room/v1/index/getRoomBaseInfo": {required: []string{"req_biz", "room_ids"}, repeated: true, free: true, handle: s.baseInfo},
		"/xlive/web-room/v2/index/getRoomPlayInfo": {
			required: append([]string{"room_id"}, playParameters...), signed: s.options.SignedPlay, handle: s.play,
			optional: []string{"dolby", "web_location", "ptype", "panorama", "mask", "no_playurl", "hdr_type", "only_audio"},
		},
		"/xlive/play-gateway/master/url": {
			required: []string{"cid", "mid", "pt", "qn"}, handle: s.master,
			optional: []string{"p2p_type", "net", "free_type", "build", "feature", "drm_type", "codec"},
		},
	}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	if call, ok := s.calls()[r.URL.Path]; ok {
		if x, ok := s.admit(w, r, call); ok {
			call.handle(x)
		}
		return
	}
	if strings.HasPrefix(r.URL.Path, "/live-bvc/") {
		s.media(w, r)
		return
	}
	s.mu.Lock()
	location, ok := s.shorts[strings.TrimPrefix(r.URL.Path, "/")]
	s.mu.Unlock()
	if ok {
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusFound)
		return
	}
	if strings.Contains(strings.Trim(r.URL.Path, "/"), "/") { // an unknown short code is the business of who made it up
		s.violate(r, "the call does not exist")
	}
	http.NotFound(w, r)
}

func answer(w http.ResponseWriter, code int, message string, data any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	json.NewEncoder(w).Encode(object{"code": code, "message": message, "ttl": 1, "data": data}) //nolint:errcheck,errchkjson // a client that left
}

func answerCode(w http.ResponseWriter, code int) { answer(w, code, strconv.Itoa(code), nil) }

func answerRisk(w http.ResponseWriter) {
	w.Header().Set("Bili-Status-Code", "-352")
	w.Header().Set("X-Bili-Gaia-Vvoucher", "voucher_00000000-0000-4000-8000-000000000000")
	answerCode(w, -352)
}

func (s *Server) nav(x *exchange) {
	s.mu.Lock()
	img, sub := s.img, s.sub
	s.mu.Unlock()
	code := -101 // as without a login; the keys are there all the same
	if x.login {
		code = 0
	}
	const folder = "https://i0.hdslb.com/bfs/wbi/"
	answer(x.w, code, "0", object{"isLogin": x.login, "wbi_img": object{"img_url": folder + img + ".png", "sub_url": folder + sub + ".png"}})
}

func (s *Server) finger(x *exchange) {
	answer(x.w, 0, "ok", object{"b_3": "0A1B2C3D-0000-4000-8000-00000000000000001infoc", "b_4": "4E5F6A7B-0000-4000-8000-00000000000000002-000000000-sim"})
}

// room answers for a number that is no room's.
func (s *Server) room(x *exchange, parameter string, code int, message string) (Room, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.find(x.number(parameter))
	if r == nil {
		answer(x.w, code, message, nil)
		return Room{}, false
	}
	return *r, true
}

func (s *Server) locked(r Room) bool { return r.LockedUntil.After(s.options.Now()) }
func (s *Server) hidden(r Room) bool { return r.HiddenUntil.After(s.options.Now()) }

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func seconds(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.Unix()
}

func (r Room) start() int64 {
	if r.State != Live {
		return 0
	}
	return seconds(r.StartedAt)
}

func (s *Server) info(x *exchange) {
	r, ok := s.room(x, "room_id", 19002000, "获取初始化数据失败")
	if !ok {
		return
	}
	answer(x.w, 0, "OK", object{
		"room_info": object{
			"uid": r.UID, "room_id": r.ID, "short_id": r.ShortID, "title": r.Title, "cover": r.Cover, "keyframe": "", "description": "",
			"tags": "", "live_status": r.State, "live_start_time": r.start(), "lock_status": bit(s.locked(r)), "lock_time": seconds(r.LockedUntil),
			"hidden_status": bit(s.hidden(r)), "hidden_time": seconds(r.HiddenUntil), "area_id": 145, "area_name": r.Area,
			"parent_area_id": 1, "parent_area_name": r.ParentArea, "special_type": r.SpecialType, "online": 1, "live_id_str": "900000000000000001",
		},
		"anchor_info":  object{"base_info": object{"uname": r.Streamer, "face": r.Avatar}},
		"watched_show": object{"switch": true, "num": 1},
	})
}

func (s *Server) roomInit(x *exchange) {
	r, ok := s.room(x, "id", 60004, "直播间不存在")
	if !ok {
		return
	}
	start := r.start()
	if start == 0 {
		start = -62170012800
	}
	answer(x.w, 0, "ok", object{
		"room_id": r.ID, "short_id": r.ShortID, "uid": r.UID, "need_p2p": 0, "is_hidden": s.hidden(r), "is_locked": s.locked(r), "is_portrait": false,
		"live_status": r.State, "hidden_till": seconds(r.HiddenUntil), "lock_till": seconds(r.LockedUntil), "encrypted": r.Encrypted,
		"pwd_verified": !r.Encrypted, "live_time": start, "room_shield": 1, "is_sp": 0, "special_type": r.SpecialType,
	})
}

var beijing = time.FixedZone("UTC+8", 8*3600)

func clock(at time.Time) string {
	if at.IsZero() {
		return "0000-00-00 00:00:00"
	}
	return at.In(beijing).Format(time.DateTime)
}

func (s *Server) statuses(x *exchange) {
	uids := x.query["uids[]"]
	const most = 50
	if len(uids) > most {
		s.violate(x.r, "%d uids in one call", len(uids))
		answerCode(x.w, -400)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := object{}
	for _, text := range uids {
		uid, err := strconv.ParseInt(text, 10, 64)
		if r := s.ofOwner(uid); err == nil && r != nil {
			found[text] = object{
				"title": r.Title, "room_id": r.ID, "uid": r.UID, "online": 1, "live_time": r.start(), "live_status": r.State, "short_id": r.ShortID,
				"uname": r.Streamer, "face": r.Avatar, "cover_from_user": r.Cover, "keyframe": "", "area_v2_name": r.Area,
				"area_v2_parent_name": r.ParentArea, "lock_till": clock(r.LockedUntil), "hidden_till": clock(r.HiddenUntil), "broadcast_type": 0,
			}
		}
	}
	if len(found) == 0 {
		answer(x.w, 0, "success", []any{})
		return
	}
	answer(x.w, 0, "success", found)
}

const baseInfoBiz = "web_room_componet" //nolint:misspell // the site spells it so

func (s *Server) baseInfo(x *exchange) {
	if x.query.Get("req_biz") != baseInfoBiz {
		s.violate(x.r, "req_biz is not %s", baseInfoBiz)
		answerCode(x.w, -400)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	found := object{}
	for _, text := range x.query["room_ids"] {
		id, err := strconv.ParseInt(text, 10, 64)
		if r := s.find(id); err == nil && r != nil {
			started := time.Time{}
			if r.State == Live {
				started = r.StartedAt
			}
			found[strconv.FormatInt(r.ID, 10)] = object{
				"room_id": r.ID, "uid": r.UID, "uname": r.Streamer, "title": r.Title, "cover": r.Cover, "live_status": r.State, "live_time": clock(started),
				"live_url": "https://live.bilibili.com/" + strconv.FormatInt(r.ID, 10), "area_name": r.Area, "parent_area_name": r.ParentArea,
				"is_encrypted": r.Encrypted,
			}
		}
	}
	answer(x.w, 0, "0", object{"by_uids": object{}, "by_room_ids": found})
}

var qualityNames = map[int]string{
	30000: "杜比", 25000: "原画真彩", 20000: "4K", 15000: "2K", 10000: "原画", 400: "蓝光", 250: "超清", 150: "高清", 80: "流畅",
}

// quality is what a viewer gets who asks for one.
func (r Room) quality(wanted int, login bool) int {
	best := slices.Min(r.Qualities)
	if wanted == 0 {
		wanted = slices.Max(r.Qualities)
	}
	if !slices.Contains(r.Qualities, wanted) {
		return best // as the site does for a quality that this room does not have
	}
	if !login && wanted > r.AnonymousQuality {
		return max(best, r.AnonymousQuality)
	}
	return wanted
}

func (s *Server) play(x *exchange) {
	if problem := playProblem(x); problem != "" {
		s.violate(x.r, "%s", problem)
		answerCode(x.w, -400)
		return
	}
	r, ok := s.room(x, "room_id", 19002000, "获取初始化数据失败")
	if !ok {
		return
	}
	specials := []int64{50}
	if r.SpecialType != 0 {
		specials = append(specials, r.SpecialType)
	}
	if r.DRM {
		specials = append(specials, 203)
	}
	data := object{
		"room_id": r.ID, "short_id": r.ShortID, "uid": r.UID, "is_hidden": s.hidden(r), "is_locked": s.locked(r), "is_portrait": false,
		"live_status": r.State, "hidden_till": seconds(r.HiddenUntil), "lock_till": seconds(r.LockedUntil), "encrypted": r.Encrypted,
		"pwd_verified": !r.Encrypted, "live_time": r.start(), "all_special_types": specials, "playurl_info": nil,
	}
	if r.State == Live && !r.NoStream && !r.Encrypted {
		data["playurl_info"] = object{"conf_json": "{}", "playurl": s.playURL(x, r)}
	}
	answer(x.w, 0, "0", data)
}

func playProblem(x *exchange) string {
	for name, allowed := range map[string]string{"protocol": "0,1", "format": "0,1,2", "codec": "0,1,2"} {
		for part := range strings.SplitSeq(x.query.Get(name), ",") {
			if len(part) != 1 || !strings.Contains(allowed, part) {
				return name + " is not a list of " + allowed
			}
		}
	}
	if p := x.query.Get("platform"); p != "html5" && p != "web" {
		return "platform is neither html5 nor web"
	}
	if x.number("qn") < 0 || x.number("room_id") < 1 {
		return "qn or room_id is no number"
	}
	return ""
}

func (s *Server) playURL(x *exchange, r Room) object {
	var names []object
	for _, qn := range []int{30000, 20000, 10000, 400, 250, 150, 80} { // also those that this room does not have
		names = append(names, object{"qn": qn, "desc": qualityNames[qn]})
	}
	qn := r.quality(int(x.number("qn")), x.login)
	asked := func(name, value string) bool { return slices.Contains(strings.Split(x.query.Get(name), ","), value) }
	format := func(number, name, path string) object {
		var codecs []object
		for i, codec := range []string{"avc", "hevc", "av1"} {
			if asked("codec", strconv.Itoa(i)) {
				codecs = append(codecs, s.codec(r, codec, qn, path))
			}
		}
		if !asked("format", number) || (name == "fmp4" && r.NoFMP4) {
			return nil
		}
		return object{"format_name": name, "master_url": "", "codec": codecs}
	}
	var streams []object
	for i, protocol := range []string{"http_stream", "http_hls"} {
		all := []object{format("0", "flv", ".flv?")}
		if i == 1 {
			all = []object{format("1", "ts", ".m3u8?"), format("2", "fmp4", "/index.m3u8?")}
		}
		all = slices.DeleteFunc(all, func(o object) bool { return o == nil })
		if asked("protocol", strconv.Itoa(i)) && len(all) > 0 {
			streams = append(streams, object{"protocol_name": protocol, "format": all})
		}
	}
	return object{"cid": r.ID, "g_qn_desc": names, "stream": streams, "p2p_data": nil}
}

func (s *Server) codec(r Room, name string, qn int, path string) object {
	expires := s.options.Now().Add(s.options.Lease).Unix()
	var urls []object
	for i, cdn := range r.CDNs {
		extra := fmt.Sprintf("expires=%d&pt=web&deadline=%d&qn=%d&cdn=%s&sign=00&order=%d", expires, expires, qn, cdn, i+1)
		urls = append(urls, object{"host": s.URL(), "extra": extra, "stream_ttl": 0})
	}
	return object{
		"codec_name": name, "current_qn": qn, "accept_qn": r.Qualities, "base_url": fmt.Sprintf("/live-bvc/%d/live_%d_%s%s", r.ID, r.UID, name, path),
		"drm": r.DRM, "media_info": object{"width": 1280, "height": 720}, "url_info": urls,
	}
}

func (s *Server) master(x *exchange) {
	r, ok := s.room(x, "cid", 19002000, "获取初始化数据失败")
	if !ok {
		return
	}
	if r.State != Live || r.NoStream || r.Encrypted {
		answerCode(x.w, 19002003)
		return
	}
	x.w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	fmt.Fprintln(x.w, "#EXTM3U")
	expires := s.options.Now().Add(s.options.Lease).Unix()
	for _, qn := range r.Qualities {
		for _, cdn := range r.CDNs {
			fmt.Fprintf(x.w, "#EXT-X-STREAM-INF:BANDWIDTH=%d,CODECS=\"avc1.640033,mp4a.40.2\",BILI-QN=%d\n", qn*100, qn)
			fmt.Fprintf(x.w, "%s/live-bvc/%d/live_%d_avc/index.m3u8?expires=%d&qn=%d&cdn=%s&sign=00\n", s.URL(), r.ID, r.UID, expires, qn, cdn)
		}
	}
}

// media checks what the delivering networks check.
func (s *Server) media(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	id, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/live-bvc/"), "/")
	number, _ := strconv.ParseInt(id, 10, 64)
	s.mu.Lock()
	room := s.rooms[number]
	live := room != nil && room.State == Live
	down := live && slices.Contains(room.DownCDNs, query.Get("cdn"))
	s.mu.Unlock()
	expires, err := strconv.ParseInt(query.Get("expires"), 10, 64)
	switch {
	case !strings.HasPrefix(r.UserAgent(), "Mozilla/5.0 ") || !strings.HasPrefix(r.Referer(), "https://live.bilibili.com/"):
		s.violate(r, "media asked for without the headers of a browser")
		w.WriteHeader(http.StatusForbidden)
	case r.Header.Get("Cookie") != "":
		s.violate(r, "a delivering network gets cookies")
		w.WriteHeader(http.StatusForbidden)
	case err != nil || s.options.Now().Unix() > expires:
		w.WriteHeader(http.StatusForbidden)
	case !live || down:
		w.WriteHeader(http.StatusNotFound)
	case s.options.Media != nil:
		s.options.Media.ServeHTTP(w, r)
	case strings.HasSuffix(r.URL.Path, ".flv"):
		w.Header().Set("Content-Type", "video/x-flv")
		fmt.Fprint(w, "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00")
	default:
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1\n")
	}
}
