package reason

// The codes of rooms.
const (
	RoomWindow      = "room.window"
	RoomKeyword     = "room.keyword"
	RoomNoSlot      = "room.no_slot"
	RoomNoStream    = "room.no_stream"
	RoomNoExtractor = "room.no_extractor"
	RoomBroke       = "room.broke"
	RoomNotStarted  = "room.not_started"
)

var rooms = catalogue{
	RoomWindow:      {"outside its time window until {until}", "不在录制时间段内，{until} 起恢复", Action{Edit, "streamer"}},
	RoomKeyword:     {"the title holds the excluded keyword \"{word}\"", "标题包含排除关键词“{word}”", Action{Edit, "streamer"}},
	RoomNoSlot:      {"the room is live and waits: all recording slots are in use (download_limit)", "正在直播，等待中：录制名额已用完（download_limit）", Action{Edit, "configuration"}},
	RoomNoStream:    {"the room is live and the extractor offers no stream", "正在直播，但提取器没有给出任何流", Action{Wait, ""}},
	RoomNoExtractor: {"no extractor takes {url}", "没有提取器支持 {url}", Action{Edit, "plugins"}},
	RoomBroke:       {"recording broke: {cause}", "录制中断：{cause}", Action{Wait, ""}},
	RoomNotStarted:  {"record: {cause}", "无法开始录制：{cause}", Action{Wait, ""}},
}
