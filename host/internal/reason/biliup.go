package reason

// The codes of refusals on biliup's paths that the API does not know.
const (
	BiliupFFmpegArguments    = "biliup.ffmpeg_arguments"
	BiliupTemplateID         = "biliup.template_id"
	BiliupNoSuchTemplate     = "biliup.no_such_template"
	BiliupExtra              = "biliup.extra"
	BiliupExtraField         = "biliup.extra_field"
	BiliupPublishesNothing   = "biliup.publishes_nothing"
	BiliupTags               = "biliup.tags"
	BiliupNoLater            = "biliup.no_later"
	BiliupNoSelf             = "biliup.no_self"
	BiliupNoCommentSelection = "biliup.no_comment_selection"
	BiliupNoCommentClosing   = "biliup.no_comment_closing"
	BiliupNoDanmakuClosing   = "biliup.no_danmaku_closing"
	BiliupNoCredits          = "biliup.no_credits"
	BiliupNoMission          = "biliup.no_mission"
	BiliupNoFile             = "biliup.no_file"
	BiliupLogIn              = "biliup.log_in"
	BiliupNobodyRegistered   = "biliup.nobody_registered"
)

// biliupPaths are the codes of refusals on biliup's paths.
var biliupPaths = catalogue{
	BiliupFFmpegArguments:    {"are arguments of ffmpeg, and no recorder here uses it; remove them", "是 ffmpeg 的参数，而这里没有录制器使用它；请删除", Action{Edit, ""}},
	BiliupTemplateID:         {"must be the id of a template, or null", "必须是模板的 id，或 null", Action{Edit, ""}},
	BiliupNoSuchTemplate:     {"there is no template with the id {id}", "没有 id 为 {id} 的模板", Action{Edit, ""}},
	BiliupExtra:              {"must be a JSON object, such as {example}", "必须是 JSON 对象，例如 {example}", Action{Edit, ""}},
	BiliupExtraField:         {"{field} is not sent to Bilibili from here; there are human_type2 and creation_statement", "这里不会把 {field} 发给 Bilibili；可用的是 human_type2 和 creation_statement", Action{Edit, ""}},
	BiliupPublishesNothing:   {"Noop: to publish nothing, give the streamer no template", "Noop：如不投稿，请不要给录制任务设置模板", Action{Edit, ""}},
	BiliupTags:               {"must be a list of texts", "必须是文字列表", Action{Edit, ""}},
	BiliupNoLater:            {"archives are published when they are accepted, not at a later time; leave it out", "稿件在通过后即公开，不能定时；请去掉此项", Action{Edit, ""}},
	BiliupNoSelf:             {"archives are published for everybody; leave it out", "稿件对所有人公开；请去掉此项", Action{Edit, ""}},
	BiliupNoCommentSelection: {"comments cannot be restricted here; do it on Bilibili; leave it out", "这里不能精选评论，请在 Bilibili 上设置；请去掉此项", Action{Edit, ""}},
	BiliupNoCommentClosing:   {"comments cannot be closed here; do it on Bilibili; leave it out", "这里不能关闭评论，请在 Bilibili 上设置；请去掉此项", Action{Edit, ""}},
	BiliupNoDanmakuClosing:   {"danmaku cannot be closed here; do it on Bilibili; leave it out", "这里不能关闭弹幕，请在 Bilibili 上设置；请去掉此项", Action{Edit, ""}},
	BiliupNoCredits:          {"people cannot be named with @ in a description; leave it out", "这里不能在简介中 @ 他人；请去掉此项", Action{Edit, ""}},
	BiliupNoMission:          {"archives cannot take part in an event; leave it out", "稿件不能参加活动；请去掉此项", Action{Edit, ""}},
	BiliupNoFile:             {"there is no such recording; GET /v1/videos lists them, and the log is at /v1/ws/logs", "没有这个录像；GET /v1/videos 列出全部录像，日志位于 /v1/ws/logs", Action{Open, ""}},
	BiliupLogIn:              {"log in first: POST /v1/users/login", "请先登录：POST /v1/users/login", Action{Login, ""}},
	BiliupNobodyRegistered:   {"nobody is registered yet", "尚未注册任何用户", Action{Login, ""}},
}
