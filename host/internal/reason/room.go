package reason

// The codes of rooms.
const (
	RoomWindow      = "room.window"
	RoomKeyword     = "room.keyword"
	RoomNoSlot      = "room.no_slot"
	RoomNoStream    = "room.no_stream"
	RoomNoExtractor = "room.no_extractor"
	RoomRefused     = "room.refused"
	RoomNotEnded    = "room.not_ended"
	RoomBroke       = "room.broke"
	RoomNotStarted  = "room.not_started"
	RoomNoTemplate  = "room.no_template"
	RoomRestricted  = "room.restricted"

	RoomTwin           = "room.twin"
	RoomNoRecorder     = "room.no_recorder"
	RoomNoSuchRecorder = "room.no_such_recorder"
)

var rooms = catalogue{
	RoomWindow:      {"outside its time window until {until}", "不在录制时间段内，{until} 起恢复", Action{Edit, "streamer"}},
	RoomKeyword:     {"the title holds the excluded keyword \"{word}\"", "标题包含排除关键词“{word}”", Action{Edit, "streamer"}},
	RoomNoSlot:      {"the room is live and waits: all recording slots are in use (download_limit)", "正在直播，等待中：录制名额已用完（download_limit）", Action{Edit, "configuration"}},
	RoomNoStream:    {"the room is live and the extractor offers no stream", "正在直播，但提取器没有给出任何流", Action{Wait, ""}},
	RoomNoExtractor: {"no extractor takes {url}", "没有提取器支持 {url}", Action{Edit, "plugins"}},
	RoomRefused:     {"the room is live and none of its addresses can be recorded: {cause}", "正在直播，但所有地址都无法录制：{cause}", Action{Wait, ""}},
	RoomNotEnded:    {"{why}; its recording could not be ended yet: {cause}", "{why}；录制尚未能结束：{cause}", Action{Wait, ""}},
	RoomBroke:       {"recording broke: {cause}", "录制中断：{cause}", Action{Wait, ""}},
	RoomNoTemplate:  {"there is no template \"{template}\": nothing that is recorded of the room is published until there is", "没有名为“{template}”的模板：创建之前，该房间的录像不会投稿", Action{Edit, "template"}},
	RoomRestricted:  {"the room is live, and not for this account: {restriction}", "正在直播，但当前账号无权观看：{restriction}", Action{Login, "configuration"}},
	RoomNoRecorder:  {"the room is live, and no installed recorder takes {containers}", "正在直播，但没有已安装的录制器支持 {containers}", Action{Edit, "plugins"}},

	RoomTwin:           {"the room is there twice: it is recorded by streamer {id}, as {url}", "房间重复：录制任务 {id} 已在录制（{url}）", Action{Edit, "streamer"}},
	RoomNoSuchRecorder: {"the room is live, and no recorder is called {recorder} (setting downloader)", "正在直播，但没有名为 {recorder} 的录制器（设置项 downloader）", Action{Edit, "configuration"}},

	RoomNotStarted: {"record: {cause}", "无法开始录制：{cause}", Action{Wait, ""}},
}
