package reason

// The codes of health checks, and of what the host cannot know while something is away.
const (
	HealthUnanswered      = "health.unanswered"
	HealthDiskLow         = "health.disk_low"
	HealthFolder          = "health.folder"
	HealthDatabaseFull    = "health.database_full"
	HealthDatabaseRefuses = "health.database_refuses"
	HealthDatabaseSlow    = "health.database_slow"
	HealthDatabaseAway    = "health.database_away"
	HealthPluginFailed    = "health.plugin_failed"
	HealthPluginRestarts  = "health.plugin_restarts"
	HealthPluginUnwell    = "health.plugin_unwell"
	HealthAccountUnusable = "health.account_unusable"
	HealthAccountExpires  = "health.account_expires"
	StateUnknown          = "state.unknown"
)

// healthChecks are the codes of health checks.
var healthChecks = catalogue{
	HealthUnanswered:      {"it cannot be found out how this is: {cause}", "无法得知其状态：{cause}", Action{Open, "host"}},
	HealthDiskLow:         {"only {free_mb} MB are free on the disk of {folder}; recordings end when it is full", "{folder} 所在磁盘仅剩 {free_mb} MB；磁盘写满后录制会中断", Action{FreeSpace, "host"}},
	HealthFolder:          {"the folder {folder} cannot be used: {cause}", "文件夹 {folder} 无法使用：{cause}", Action{Edit, "host"}},
	HealthDatabaseFull:    {"the disk of the database is full: {cause}", "数据库所在磁盘已满：{cause}", Action{FreeSpace, "host"}},
	HealthDatabaseRefuses: {"the database takes no writes: {cause}", "数据库拒绝写入：{cause}", Action{Open, "host"}},
	HealthDatabaseSlow:    {"the database does not finish a write within {seconds} s", "数据库在 {seconds} 秒内未完成写入", Action{Open, "host"}},
	HealthDatabaseAway:    {"the database does not answer", "数据库没有响应", Action{Open, "host"}},
	HealthPluginFailed:    {"{plugin} does not run: {cause}", "{plugin} 未运行：{cause}", Action{Edit, "plugins"}},
	HealthPluginRestarts:  {"{plugin} failed and is started again: {cause}", "{plugin} 出错，正在重新启动：{cause}", Action{Wait, "plugins"}},
	HealthPluginUnwell:    {"{plugin} says that it is not well: {cause}", "{plugin} 报告自身异常：{cause}", Action{Open, "plugins"}},
	HealthAccountUnusable: {"the login in {file} cannot be used: {cause}", "{file} 中的登录不可用：{cause}", Action{Login, "account"}},
	HealthAccountExpires:  {"the login in {file} will not be usable for long: {cause}", "{file} 中的登录即将失效：{cause}", Action{Login, "account"}},
	StateUnknown:          {"not known since {since}: {cause}", "自 {since} 起状态未知：{cause}", Action{Wait, ""}},
}
