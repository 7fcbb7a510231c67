# The plugins of this lubod. One block names one program in plugin_dir. After an edit, let the running daemon read it
# again, with `kill -HUP` or `curl -X POST …/api/v1/plugins/reload`: a mistake changes nothing and says where it is.
#
# 本机 lubod 的插件。每个块对应 plugin_dir 中的一个程序。修改后用 `kill -HUP` 或
# `curl -X POST …/api/v1/plugins/reload` 让运行中的守护进程重新读取：若有错误则什么都不改变，并指出错误所在。

plugin_dir = "bin/plugins" # relative to this file / 相对于本文件

# Takes rooms of live.bilibili.com / B 站直播间
plugin "extractor-bilibili" {}

# Takes addresses that are themselves live media, such as http://…/live.flv / 直接给出媒体流的地址
plugin "extractor-direct" {}

# Writes HTTP-FLV streams to files / 把 HTTP-FLV 流写成文件
plugin "recorder-native" {}

# Uploads to Bilibili: bda2, ws, qn and the other upos lines / 上传到 B 站：bda2、ws、qn 等 upos 线路
plugin "line-upos" {}

# Uploads to Bilibili by way of Qiniu: the line kodo. Bilibili's service stopped offering it in 2023, and a stored `kodo` has
# meant AUTO since; without the # before it, this block offers the line again.
# 经七牛云上传到 B 站：kodo 线路。B 站自 2023 年起不再提供该线路，此后已保存的 `kodo` 即表示 AUTO；去掉下一行的 # 即可重新启用。
# plugin "line-kodo" {}
