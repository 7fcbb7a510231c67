package reason

// The codes of transfers.
const (
	UploadNoTemplate   = "upload.no_template"
	UploadTemplateGone = "upload.template_gone"
	UploadField        = "upload.field"
	UploadNoAccount    = "upload.no_account"
	UploadAccount      = "upload.account"
	UploadLogin        = "upload.login_refused"
	UploadLineDown     = "upload.line_down"
	UploadNoLine       = "upload.no_line"
	UploadLineAuto     = "upload.line_auto"
	UploadLineLeft     = "upload.line_left"
	UploadFileGone     = "upload.file_gone"
	UploadFileChanged  = "upload.file_changed"
	UploadFileUnread   = "upload.file_unreadable"
	UploadHost         = "upload.host"
)

// uploads are the codes of transfers.
var uploads = catalogue{
	UploadNoTemplate:   {"the recording has no template", "录像没有投稿模板", Action{Edit, "streamer"}},
	UploadTemplateGone: {"template \"{template}\" does not exist; create it to publish this recording", "模板“{template}”不存在；创建它即可投稿", Action{Edit, "template"}},
	UploadField:        {"template \"{template}\": {cause}; change it to publish this recording", "模板“{template}”：{cause}；修改后即可投稿", Action{Edit, "template"}},
	UploadNoAccount: {"template \"{template}\" names no account; set user_cookie, put a cookies.json into the data directory, or have exactly one account in /api/v1/users",
		"模板“{template}”没有指定账号；请设置 user_cookie，或在数据目录放入 cookies.json，或在 /api/v1/users 中只保留一个账号", Action{Edit, "template"}},
	UploadAccount:  {"{cause}", "账号不可用：{cause}", Action{Login, "account"}},
	UploadLogin:    {"the login in \"{file}\" was refused, and is checked before the next try: {cause}", "“{file}”中的登录被拒绝，下次尝试前会先检查：{cause}", Action{Login, "account"}},
	UploadLineDown: {"line {line}: {cause}", "线路 {line}：{cause}", Action{Wait, "plugins"}},
	UploadNoLine:   {"no line plugin is running; name one in plugins.hcl", "没有运行中的线路插件；请在 plugins.hcl 中配置一个", Action{Edit, "plugins"}},
	UploadLineAuto: {"no plugin serves the line \"{line}\", which therefore means AUTO; there are {lines}",
		"没有插件提供线路“{line}”，因此按 AUTO 处理；可用线路：{lines}", Action{Edit, "configuration"}},
	UploadLineLeft: {"the line {line} did not take the file ({cause}); others follow it, in the order of AUTO",
		"线路 {line} 未能接收该文件（{cause}）；改按 AUTO 的顺序使用其他线路", Action{Wait, "configuration"}},
	UploadFileGone: {"the file is gone: put it back at {path} and retry (POST /api/v1/segments/{segment}/retry), or give it up (POST /api/v1/segments/{segment}/waive)",
		"文件不见了：请放回 {path} 后重试（POST /api/v1/segments/{segment}/retry），或放弃它（POST /api/v1/segments/{segment}/waive）", Action{Retry, "segment/{segment}"}},
	UploadFileChanged: {"the file changed after it was ordered ({then} then, {now} now): retry to send it as it is now (POST /api/v1/segments/{segment}/retry), or give it up (POST /api/v1/segments/{segment}/waive)",
		"文件在下单后有变化（当时 {then}，现在 {now}）：重试将按现状上传（POST /api/v1/segments/{segment}/retry），或放弃它（POST /api/v1/segments/{segment}/waive）", Action{Retry, "segment/{segment}"}},
	UploadHost:       {"{cause}", "本机出现问题：{cause}", Action{Open, "host"}},
	UploadFileUnread: {"the file {path} cannot be looked at: {cause}", "无法读取文件 {path}：{cause}", Action{Open, "host"}},
}
