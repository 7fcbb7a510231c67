package reason

// The codes of what the API lists with words of its own beside it: logins and plugins.
const (
	AccountUnusable = "account.unusable"
	AccountExpires  = "account.expires"
	PluginFailed    = "plugin.failed"
	PluginRestarts  = "plugin.restarts"
	PluginUnwell    = "plugin.unwell"
)

var parts = catalogue{
	AccountUnusable: {"{cause}", "登录不可用：{cause}", Action{Login, "account"}},
	AccountExpires:  {"{cause}", "登录即将失效：{cause}", Action{Login, "account"}},
	PluginFailed:    {"{cause}", "插件未运行：{cause}", Action{Edit, "plugins"}},
	PluginRestarts:  {"{cause}", "插件出错，正在重新启动：{cause}", Action{Wait, ""}},
	PluginUnwell:    {"{cause}", "插件报告自身异常：{cause}", Action{Open, "plugins"}},
}
