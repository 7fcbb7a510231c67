package reason

// The codes of refusals of the API. {expected} and {got} are words of the catalogue.
const (
	APINoStreamer           = "api.no_streamer"
	APINoTemplate           = "api.no_template"
	APINoAccount            = "api.no_account"
	APINoHook               = "api.no_hook"
	APINoRecording          = "api.no_recording"
	APINoSegment            = "api.no_segment"
	APINoToken              = "api.no_token"
	APINoPath               = "api.no_path"
	APIMethod               = "api.method"
	APIInternal             = "api.internal"
	APIInternalUnnumbered   = "api.internal_unnumbered"
	APIRefused              = "api.refused"
	APIConflict             = "api.conflict"
	APIDatabaseAway         = "api.database_away"
	APIDatabaseAwaySince    = "api.database_away_since"
	APIDatabaseNoWrites     = "api.database_no_writes"
	APIDatabaseFull         = "api.database_full"
	APIShape                = "api.shape"
	APIBodyShape            = "api.body_shape"
	APIBodyMissing          = "api.body_missing"
	APIBodyType             = "api.body_type"
	APIBodyNUL              = "api.body_nul"
	APIBodyUnreadable       = "api.body_unreadable"
	APIBodyUTF8             = "api.body_utf8"
	APIBodyJSON             = "api.body_json"
	APIBodyNotObject        = "api.body_not_object"
	APIBodyMediaType        = "api.body_media_type"
	APIBodyTooLarge         = "api.body_too_large"
	APIBodyTimeout          = "api.body_timeout"
	APIBodyNumbers          = "api.body_numbers"
	APITwice                = "api.twice"
	APIMissing              = "api.missing"
	APIType                 = "api.type"
	APIKind                 = "api.kind"
	APIWholeNumber          = "api.whole_number"
	APIPlainWholeNumber     = "api.plain_whole_number"
	APINotA                 = "api.not_a"
	APINumberForm           = "api.number_form"
	APIEither               = "api.either"
	APIBetween              = "api.between"
	APIAtLeast              = "api.at_least"
	APIAtMost               = "api.at_most"
	APIEmpty                = "api.empty"
	APILongerText           = "api.longer_text"
	APIShorterText          = "api.shorter_text"
	APIShorterBytes         = "api.shorter_bytes"
	APINoEntry              = "api.no_entry"
	APIMoreEntries          = "api.more_entries"
	APIFewerEntries         = "api.fewer_entries"
	APIChoice               = "api.choice"
	APIOneChoice            = "api.one_choice"
	APITrimmed              = "api.trimmed"
	APINullOrApp            = "api.null_or_app"
	APIPattern              = "api.pattern"
	APIForm                 = "api.form"
	APIUnknownField         = "api.unknown_field"
	APIUnknownFields        = "api.unknown_fields"
	APILogIn                = "api.log_in"
	APILogInForQR           = "api.log_in_for_qr"
	APIWrongLogin           = "api.wrong_login"
	APINobodyLoggedIn       = "api.nobody_logged_in"
	APIRegistrationClosed   = "api.registration_closed"
	APISetupToken           = "api.setup_token"
	APIUserExists           = "api.user_exists"
	APILocalPath            = "api.local_path"
	APISamePassword         = "api.same_password"
	APICommonPassword       = "api.common_password"
	APILastUser             = "api.last_user"
	APIWrongPassword        = "api.wrong_password"
	APIPasswordChanged      = "api.password_changed"
	APISessionNotStored     = "api.session_not_stored"
	APITooManyAttempts      = "api.too_many_attempts"
	APIBusyLogins           = "api.busy_logins"
	APIForeignOrigin        = "api.foreign_origin"
	APIUnknownHost          = "api.unknown_host"
	APITokenRefused         = "api.token_refused"
	APITokenScope           = "api.token_scope"
	APITokenUnknown         = "api.token_unknown"
	APITooManyTokens        = "api.too_many_tokens"
	APIAccountExists        = "api.account_exists"
	APIDataFile             = "api.data_file"
	APINoDataFile           = "api.no_data_file"
	APINoUsableAccount      = "api.no_usable_account"
	APIAccountUnusable      = "api.account_unusable"
	APILoginInvalid         = "api.login_invalid"
	APIBilibiliRefused      = "api.bilibili_refused"
	APIBilibiliAway         = "api.bilibili_away"
	APIQRClosed             = "api.qr_closed"
	APIQRPending            = "api.qr_pending"
	APIQRScanned            = "api.qr_scanned"
	APIQRWaited             = "api.qr_waited"
	APIQRExpired            = "api.qr_expired"
	APIPluginsStarting      = "api.plugins_starting"
	APIPluginsRefused       = "api.plugins_refused"
	APIEventsAway           = "api.events_away"
	APIEventsFull           = "api.events_full"
	APILogFull              = "api.log_full"
	APILogUpgrade           = "api.log_upgrade"
	APIWebSocketKey         = "api.websocket_key"
	APISameFile             = "api.same_file"
	APIFileGone             = "api.file_gone"
	APIFileAway             = "api.file_away"
	APIFileForbidden        = "api.file_forbidden"
	APIFileLink             = "api.file_link"
	APIFileOutside          = "api.file_outside"
	APIFileUnknown          = "api.file_unknown"
	APIFileName             = "api.file_name"
	APIFileLeads            = "api.file_leads"
	APIFileFolder           = "api.file_folder"
	APIFileIrregular        = "api.file_irregular"
	APIFileNoVideo          = "api.file_no_video"
	APIFileEmpty            = "api.file_empty"
	APIFileLarge            = "api.file_large"
	APIFileGrowing          = "api.file_growing"
	APIHookNotHeld          = "api.hook_not_held"
	APIRunSwitchedOff       = "api.run_switched_off"
	APIStreamerGone         = "api.streamer_gone"
	APIStreamerDiffers      = "api.streamer_differs"
	APIStreamerExists       = "api.streamer_exists"
	APIStreamerSameRoom     = "api.streamer_same_room"
	APIStreamerStillRecords = "api.streamer_still_records"
	APIURLIncomplete        = "api.url_incomplete"
	APIURLPassword          = "api.url_password"
	APIPluginsSilent        = "api.plugins_silent"
	APIURLNotTaken          = "api.url_not_taken"
	APINeverAndTemplate     = "api.never_and_template"
	APITemplateExists       = "api.template_exists"
	APINoUploadAccount      = "api.no_upload_account"
	APINoSource             = "api.no_source"
	APIProxyBusy            = "api.proxy_busy"
	APIProxyRefused         = "api.proxy_refused"
	APIProxyUnusable        = "api.proxy_unusable"
	APIProxyTimeout         = "api.proxy_timeout"
	APIProxyNoServer        = "api.proxy_no_server"
	APIProxyCertificate     = "api.proxy_certificate"
	APIProxyUnreachable     = "api.proxy_unreachable"
	APIProxyNothing         = "api.proxy_nothing"
	APIProxyStatus          = "api.proxy_status"
)

// requests are the codes of refusals of the API. What is wrong with a field is told behind its name and a colon.
var requests = catalogue{
	APINoStreamer:           {"there is no streamer with the id {id}", "没有 id 为 {id} 的录制任务", Action{Open, ""}},
	APINoTemplate:           {"there is no template with the id {id}", "没有 id 为 {id} 的模板", Action{Open, ""}},
	APINoAccount:            {"there is no account with the id {id}", "没有 id 为 {id} 的账号", Action{Open, ""}},
	APINoHook:               {"there is no hook with the id {id}", "没有 id 为 {id} 的钩子", Action{Open, ""}},
	APINoRecording:          {"there is no recording with the id {id}", "没有 id 为 {id} 的录像", Action{Open, ""}},
	APINoSegment:            {"there is no segment with the id {id}", "没有 id 为 {id} 的分段", Action{Open, ""}},
	APINoToken:              {"there is no token of yours with the id {id}", "没有 id 为 {id} 的令牌属于您", Action{Open, ""}},
	APINoPath:               {"there is nothing at \"{path}\"", "“{path}”处没有内容", Action{Open, ""}},
	APIMethod:               {"{method} does not work here; allowed is {allowed}", "此处不支持 {method}；允许的方法：{allowed}", Action{Edit, ""}},
	APIInternal:             {"the server made a mistake; its log says more under incident {incident}", "服务器出错；日志中编号 {incident} 有更多信息", Action{Open, "host"}},
	APIInternalUnnumbered:   {"the server made a mistake; its log says more", "服务器出错；日志中有更多信息", Action{Open, "host"}},
	APIRefused:              {"{text}", "请求无效：{text}", Action{Edit, ""}},
	APIConflict:             {"{text}", "与当前状态冲突：{text}", Action{Open, ""}},
	APIDatabaseAway:         {"the database does not answer at the moment; recordings go on, try again in some seconds", "数据库暂时没有响应；录制仍在继续，请几秒后重试", Action{Wait, ""}},
	APIDatabaseAwaySince:    {"the database has not answered since {since}; recordings go on, try again in some seconds", "数据库自 {since} 起没有响应；录制仍在继续，请几秒后重试", Action{Wait, ""}},
	APIDatabaseNoWrites:     {"the database has taken no writes since {since}: {cause}", "数据库自 {since} 起无法写入：{cause}", Action{FreeSpace, "host"}},
	APIDatabaseFull:         {"the disk of the database is full: free some space, nothing was changed", "数据库所在磁盘已满：请释放空间，本次未作任何更改", Action{FreeSpace, "host"}},
	APIShape:                {"the request does not have the expected shape", "请求格式不符合要求", Action{Edit, ""}},
	APIBodyShape:            {"the body does not have the expected shape", "请求体格式不符合要求", Action{Edit, ""}},
	APIBodyMissing:          {"the body is missing; a JSON object is expected", "缺少请求体；应为一个 JSON 对象", Action{Edit, ""}},
	APIBodyType:             {"the body must be {expected}, not {got}", "请求体必须是{expected}，而不是{got}", Action{Edit, ""}},
	APIBodyNUL:              {"the body holds a NUL character (\\u0000), which cannot be stored", "请求体含有无法保存的 NUL 字符（\\u0000）", Action{Edit, ""}},
	APIBodyUnreadable:       {"the body could not be read", "无法读取请求体", Action{Retry, ""}},
	APIBodyUTF8:             {"the body is not UTF-8", "请求体不是 UTF-8 编码", Action{Edit, ""}},
	APIBodyJSON:             {"the body is not JSON: {cause}", "请求体不是 JSON：{cause}", Action{Edit, ""}},
	APIBodyNotObject:        {"must be a JSON object", "必须是一个 JSON 对象", Action{Edit, ""}},
	APIBodyMediaType:        {"the body must be JSON: send the header Content-Type: application/json", "请求体必须是 JSON：请带上请求头 Content-Type: application/json", Action{Edit, ""}},
	APIBodyTooLarge:         {"the body is larger than {bytes} bytes", "请求体超过 {bytes} 字节", Action{Edit, ""}},
	APIBodyTimeout:          {"the body did not arrive in time", "请求体未能及时送达", Action{Retry, ""}},
	APIBodyNumbers:          {"the body does not have the expected shape: whole numbers must be written without a fraction or an exponent", "请求体格式不符合要求：整数不能写成小数或指数形式", Action{Edit, ""}},
	APITwice:                {"is there twice", "出现了两次", Action{Edit, ""}},
	APIMissing:              {"is missing", "缺失", Action{Edit, ""}},
	APIType:                 {"must be {expected}, not {got}", "必须是{expected}，而不是{got}", Action{Edit, ""}},
	APIKind:                 {"must be {expected}", "必须是{expected}", Action{Edit, ""}},
	APIWholeNumber:          {"must be a whole number", "必须是整数", Action{Edit, ""}},
	APIPlainWholeNumber:     {"must be a whole number, written without a fraction or an exponent", "必须是整数，且不能写成小数或指数形式", Action{Edit, ""}},
	APINotA:                 {"must not be a {got}", "不能是 {got}", Action{Edit, ""}},
	APINumberForm:           {"must be {expected} of the form {form}", "必须是{form} 形式的{expected}", Action{Edit, ""}},
	APIEither:               {"must be {one} or {other}", "必须是 {one} 或 {other}", Action{Edit, ""}},
	APIBetween:              {"must be from {min} to {max}", "必须在 {min} 到 {max} 之间", Action{Edit, ""}},
	APIAtLeast:              {"must be at least {min}", "不能小于 {min}", Action{Edit, ""}},
	APIAtMost:               {"must be at most {max}", "不能大于 {max}", Action{Edit, ""}},
	APIEmpty:                {"must not be empty", "不能为空", Action{Edit, ""}},
	APILongerText:           {"must have at least {min} characters", "至少要有 {min} 个字符", Action{Edit, ""}},
	APIShorterText:          {"must have at most {max} characters", "最多只能有 {max} 个字符", Action{Edit, ""}},
	APIShorterBytes:         {"must have at most {max} bytes", "最多只能有 {max} 个字节", Action{Edit, ""}},
	APINoEntry:              {"must have at least one entry", "至少要有一项", Action{Edit, ""}},
	APIMoreEntries:          {"must have at least {min} entries", "至少要有 {min} 项", Action{Edit, ""}},
	APIFewerEntries:         {"must have at most {max} entries", "最多只能有 {max} 项", Action{Edit, ""}},
	APIChoice:               {"must be one of {choices}", "必须是以下之一：{choices}", Action{Edit, ""}},
	APIOneChoice:            {"must be {choice}", "必须是 {choice}", Action{Edit, ""}},
	APITrimmed:              {"must be a text that neither begins nor ends with a space", "必须是首尾没有空格的文字", Action{Edit, ""}},
	APINullOrApp:            {"must be null or app", "必须是 null 或 app", Action{Edit, ""}},
	APIPattern:              {"must be a text of the form {form}", "必须是 {form} 形式的文字", Action{Edit, ""}},
	APIForm:                 {"does not have the expected form ({form})", "格式不符合要求（{form}）", Action{Edit, ""}},
	APIUnknownField:         {"is not known here; allowed are {allowed}", "此处没有这个字段；可用字段：{allowed}", Action{Edit, ""}},
	APIUnknownFields:        {"has a field that is not known; allowed are {allowed}", "含有未知字段；可用字段：{allowed}", Action{Edit, ""}},
	APILogIn:                {"log in first: POST /api/v1/users/login, or send an API token as Authorization: Bearer …", "请先登录：POST /api/v1/users/login，或以 Authorization: Bearer … 携带 API 令牌", Action{Login, ""}},
	APILogInForQR:           {"log in first: POST /api/v1/users/login; this server lets only its users log accounts in (--qr-login)", "请先登录：POST /api/v1/users/login；本服务器只允许其用户扫码登录账号（--qr-login）", Action{Login, ""}},
	APIWrongLogin:           {"user name or password is wrong", "用户名或密码错误", Action{Login, ""}},
	APINobodyLoggedIn:       {"nobody is logged in", "尚未登录", Action{Login, ""}},
	APIRegistrationClosed:   {"registration is closed; a user who is logged in can create others", "注册已关闭；已登录的用户可以创建其他用户", Action{Login, ""}},
	APISetupToken:           {"the first user is registered from the machine itself, or with the set-up token that the log printed at start", "第一个用户须在本机注册，或使用启动时日志中打印的设置令牌", Action{Edit, ""}},
	APIUserExists:           {"there is a user \"{username}\" already", "已有用户“{username}”", Action{Edit, ""}},
	APILocalPath:            {"must be a path of this server that begins with one slash", "必须是本服务器上以单个斜杠开头的路径", Action{Edit, ""}},
	APICommonPassword:       {"is one of the first that anybody guesses; take another one, such as a few words", "太常见，很容易被猜到；请换一个，例如几个词组成的短语", Action{Edit, ""}},
	APILastUser:             {"this is the last user: without any, anybody on this machine could become the first one; create another user before", "这是最后一个用户：没有用户时，本机上的任何人都可以注册成为第一个用户；请先创建另一个用户", Action{Edit, ""}},
	APISamePassword:         {"must differ from the current one", "必须与当前密码不同", Action{Edit, ""}},
	APIWrongPassword:        {"is wrong", "不正确", Action{Edit, ""}},
	APIPasswordChanged:      {"the password was changed by another request meanwhile", "密码已被另一请求更改", Action{Login, ""}},
	APISessionNotStored:     {"the password was changed, but the new session could not be stored; log in again", "密码已更改，但无法保存新会话；请重新登录", Action{Login, ""}},
	APITooManyAttempts:      {"too many attempts; try again in {seconds} s", "尝试次数过多；请 {seconds} 秒后重试", Action{Wait, ""}},
	APIBusyLogins:           {"too many people log in at the moment; try again in some seconds", "当前登录人数过多；请几秒后重试", Action{Wait, ""}},
	APIForeignOrigin:        {"this request was sent by a page of another site; only pages of this server may change something, or watch", "该请求来自其他网站的页面；只有本服务器的页面可以更改或查看", Action{Open, ""}},
	APIUnknownHost:          {"this server does not go by the name in the Host header; if it should, start it with that name in --hosts (LUBOD_HOSTS)", "本服务器不使用 Host 请求头中的名称；如需使用，请在启动时将其加入 --hosts（LUBOD_HOSTS）", Action{Edit, "host"}},
	APITokenRefused:         {"an API token cannot do this; log in with POST /api/v1/users/login and send the session's cookie", "API 令牌无权执行此操作；请通过 POST /api/v1/users/login 登录并携带会话 cookie", Action{Login, ""}},
	APITokenScope:           {"this API token has the scope read: it may only GET; create one with the scope write", "该 API 令牌的权限为 read，只能执行 GET；请创建权限为 write 的令牌", Action{Edit, ""}},
	APITokenUnknown:         {"this API token is not known, or no longer: it was deleted or has expired", "该 API 令牌无效：不存在、已删除或已过期", Action{Edit, ""}},
	APITooManyTokens:        {"there are {count} tokens already, which is the most; delete one first", "已有 {count} 个令牌，达到上限；请先删除一个", Action{Edit, ""}},
	APIAccountExists:        {"there is an account with the file \"{file}\" already", "已有使用文件“{file}”的账号", Action{Edit, ""}},
	APIDataFile:             {"must be a file inside the data directory, such as {example}", "必须是数据目录中的文件，例如 {example}", Action{Edit, ""}},
	APINoDataFile:           {"there is no file {file} in the data directory", "数据目录中没有文件 {file}", Action{Edit, ""}},
	APINoUsableAccount:      {"there is no Bilibili account that can be used; log one in with GET /api/v1/qrcode and add its file with POST /api/v1/users", "没有可用的 Bilibili 账号；请通过 GET /api/v1/qrcode 登录，并用 POST /api/v1/users 添加其文件", Action{Login, "account"}},
	APIAccountUnusable:      {"{cause}", "账号不可用：{cause}", Action{Login, "account"}},
	APILoginInvalid:         {"the login in {file} is no longer valid; log in again", "{file} 中的登录已失效；请重新登录", Action{Login, "account"}},
	APIBilibiliRefused:      {"Bilibili refused with code {code}: \"{message}\"; try again later", "Bilibili 拒绝了请求，代码 {code}：“{message}”；请稍后重试", Action{Wait, ""}},
	APIBilibiliAway:         {"Bilibili does not answer, or not as expected; try again later", "Bilibili 没有响应，或响应异常；请稍后重试", Action{Wait, ""}},
	APIQRClosed:             {"logging in by QR code is switched off (--qr-login)", "扫码登录已关闭（--qr-login）", Action{Edit, "host"}},
	APIQRPending:            {"nobody has scanned the QR code yet; send this request again", "二维码尚未被扫描；请再次发送此请求", Action{Retry, ""}},
	APIQRScanned:            {"the QR code was scanned and is not confirmed yet; send this request again", "二维码已扫描但尚未确认；请再次发送此请求", Action{Retry, ""}},
	APIQRWaited:             {"another request waits for this login; send this request again", "另一请求正在等待此次登录；请再次发送此请求", Action{Retry, ""}},
	APIQRExpired:            {"there is no such login, or its QR code has expired; begin a new one with GET /api/v1/qrcode", "没有此次登录，或二维码已过期；请通过 GET /api/v1/qrcode 重新开始", Action{Retry, ""}},
	APIPluginsStarting:      {"the plugins are still being started; try again in some seconds", "插件仍在启动；请几秒后重试", Action{Wait, ""}},
	APIPluginsRefused:       {"nothing was changed: {cause}", "未作任何更改：{cause}", Action{Edit, "plugins"}},
	APIEventsAway:           {"events cannot be read at the moment; try again in some seconds", "暂时无法读取事件；请几秒后重试", Action{Wait, ""}},
	APIEventsFull:           {"too many clients read events already; close one of them", "读取事件的客户端过多；请关闭其中一个", Action{Edit, ""}},
	APILogFull:              {"too many clients read the log already; close one of them", "读取日志的客户端过多；请关闭其中一个", Action{Edit, ""}},
	APILogUpgrade:           {"the log is sent over a WebSocket (version 13): open it with a client for ws:// or wss://", "日志通过 WebSocket（版本 13）发送：请用支持 ws:// 或 wss:// 的客户端打开", Action{Edit, ""}},
	APIWebSocketKey:         {"must be 16 bytes in Base64, in a request of HTTP/1.1", "必须是 Base64 编码的 16 字节，且请求为 HTTP/1.1", Action{Edit, ""}},
	APISameFile:             {"is the same file as files.{twin}", "与 files.{twin} 是同一个文件", Action{Edit, ""}},
	APIFileGone:             {"the file \"{file}\" was recorded, and is not there any more; put it back, or leave it out", "文件“{file}”曾被录制，但已不存在；请放回原处，或不要选择它", Action{Edit, ""}},
	APIFileAway:             {"\"{file}\" cannot be looked at: its disk may be away", "无法查看“{file}”：其所在磁盘可能不可用", Action{Open, "host"}},
	APIFileForbidden:        {"the server may not look at \"{file}\"; change its permissions", "服务器无权查看“{file}”；请修改其权限", Action{Edit, "host"}},
	APIFileLink:             {"\"{file}\" is a link, or in a linked folder; name the file itself", "“{file}”是链接，或位于链接的文件夹中；请指定文件本身", Action{Edit, ""}},
	APIFileOutside:          {"\"{file}\" is not in the recordings folder, and no recording has a file of that name", "“{file}”不在录像文件夹中，也没有录像包含该名称的文件", Action{Edit, ""}},
	APIFileUnknown:          {"there is no \"{file}\" in the recordings folder; GET /api/v1/videos lists what there is", "录像文件夹中没有“{file}”；GET /api/v1/videos 列出现有文件", Action{Edit, ""}},
	APIFileName:             {"is no name of a file", "不是文件名", Action{Edit, ""}},
	APIFileLeads:            {"\"{file}\" does not lead to a file of the recordings folder", "“{file}”不指向录像文件夹中的文件", Action{Edit, ""}},
	APIFileFolder:           {"\"{file}\" is a folder; name the files in it", "“{file}”是文件夹；请指定其中的文件", Action{Edit, ""}},
	APIFileIrregular:        {"\"{file}\" is no file", "“{file}”不是文件", Action{Edit, ""}},
	APIFileNoVideo:          {"\"{file}\" is no video; its name must end in one of {endings}", "“{file}”不是视频；文件名须以下列之一结尾：{endings}", Action{Edit, ""}},
	APIFileEmpty:            {"\"{file}\" is empty: it holds no video", "“{file}”为空：没有视频内容", Action{Edit, ""}},
	APIFileLarge:            {"\"{file}\" is larger than the 32 GB that Bilibili processes; split it", "“{file}”超过 Bilibili 可处理的 32 GB；请分割后再传", Action{Edit, ""}},
	APIFileGrowing:          {"\"{file}\" is still being written; name it again when it is finished", "“{file}”仍在写入；请在完成后再选择", Action{Wait, ""}},
	APIHookNotHeld:          {"the hook {id} is not held: there is nothing to retry", "钩子 {id} 未被搁置：无需重试", Action{Open, ""}},
	APIRunSwitchedOff:       {"run: commands are switched off on this server; start it with --allow-run-hooks to let its users run any command on its machine", "run：本服务器未启用命令；如需允许用户在本机执行任意命令，请以 --allow-run-hooks 启动", Action{Edit, "host"}},
	APIStreamerGone:         {"the streamer with this URL was deleted just now; try again", "该 URL 的录制任务刚刚被删除；请重试", Action{Retry, ""}},
	APIStreamerDiffers:      {"streamer {id} has this URL already, with another {field}; change it with PUT /api/v1/streamers", "录制任务 {id} 已使用此 URL，但 {field} 不同；请用 PUT /api/v1/streamers 修改", Action{Edit, "streamer"}},
	APIStreamerSameRoom:     {"this is the room of streamer {id} already, which names it {url}", "录制任务 {id} 已是同一个房间，其 URL 为 {url}", Action{Edit, "streamer"}},
	APIStreamerExists:       {"there is another streamer with this URL already", "已有其他录制任务使用此 URL", Action{Edit, "streamer"}},
	APIStreamerStillRecords: {"the streamer is paused now, but its recording could not be ended yet; delete it again", "录制任务已暂停，但其录制尚未结束；请再次删除", Action{Retry, ""}},
	APIURLIncomplete:        {"must be a complete URL that begins with http:// or https://", "必须是以 http:// 或 https:// 开头的完整 URL", Action{Edit, ""}},
	APIURLPassword:          {"must not hold a user name or a password: everybody who may list the streamers would read them", "不能包含用户名或密码：所有能查看录制任务的人都会看到", Action{Edit, ""}},
	APIPluginsSilent:        {"the plugins did not say in time whether they take this URL; try again", "插件未能及时答复是否支持此 URL；请重试", Action{Retry, ""}},
	APIURLNotTaken:          {"{cause}", "没有插件支持此 URL：{cause}", Action{Edit, ""}},
	APINeverAndTemplate:     {"is \"{publish}\", and the room has the template \"{template}\"; send null for one of them", "为“{publish}”，而该房间已有模板“{template}”；请将其中之一设为 null", Action{Edit, ""}},
	APITemplateExists:       {"there is another template \"{name}\" already", "已有其他模板“{name}”", Action{Edit, ""}},
	APINoUploadAccount:      {"is missing: name the cookie file of the account that publishes, or a stored template that does; without one it is cookies.json of the data directory, or else the only account of /api/v1/users", "缺失：请指定投稿账号的 cookie 文件，或使用指定了账号的模板；未指定时使用数据目录中的 cookies.json，或 /api/v1/users 中唯一的账号", Action{Edit, ""}},
	APINoSource:             {"is missing: a repost (copyright 2) has to say where it is from", "缺失：转载（copyright 2）必须注明来源", Action{Edit, ""}},
	APIProxyBusy:            {"{slots} other URLs are being fetched at the moment; try again in some seconds", "正在获取其他 {slots} 个 URL；请几秒后重试", Action{Wait, ""}},
	APIProxyRefused:         {"{cause}", "不允许访问：{cause}", Action{Open, ""}},
	APIProxyUnusable:        {"{cause}", "应答无法使用：{cause}", Action{Open, ""}},
	APIProxyTimeout:         {"the server does not answer in time", "服务器未及时响应", Action{Wait, ""}},
	APIProxyNoServer:        {"there is no server of this name", "没有这个名称的服务器", Action{Edit, ""}},
	APIProxyCertificate:     {"the certificate of the server is not valid", "服务器的证书无效", Action{Open, ""}},
	APIProxyUnreachable:     {"the server cannot be reached, or its answer cannot be read", "无法连接服务器，或无法读取其应答", Action{Wait, ""}},
	APIProxyNothing:         {"the server says that there is nothing", "服务器表示没有内容", Action{Edit, ""}},
	APIProxyStatus:          {"the server answers with the status {status}", "服务器返回状态 {status}", Action{Wait, ""}},
}
