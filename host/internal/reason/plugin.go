package reason

// The codes of plugins.
const (
	PluginDown = "plugin.down"
)

var plugins = catalogue{
	PluginDown: {"{plugin} is down and is started again: {cause}", "{plugin} 未运行，正在重新启动：{cause}", Action{Open, "plugins"}},
}
