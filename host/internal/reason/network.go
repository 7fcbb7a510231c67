package reason

import "github.com/lubod/lubod/sdk"

// network are the codes with which plugins say what became of a request: see package sdk.
var network = catalogue{
	sdk.CodeRefused:     {"{where} refuses connections", "{where} 拒绝连接", Action{Wait, ""}},
	sdk.CodeDNS:         {"{where}: the host name is not known", "{where}：无法解析主机名", Action{Edit, "streamer"}},
	sdk.CodeTLS:         {"{where}: the certificate cannot be trusted: {cause}", "{where}：证书不可信：{cause}", Action{Edit, "streamer"}},
	sdk.CodeTimeout:     {"{where} does not answer", "{where} 没有响应", Action{Wait, ""}},
	sdk.CodeProxy:       {"the proxy {proxy} cannot be used: {cause}", "代理 {proxy} 不可用：{cause}", Action{Edit, "host"}},
	sdk.CodeStatus:      {"{where} answered {status}", "{where} 返回了 {status}", Action{Wait, ""}},
	sdk.CodeHTML:        {"{where} answered with an HTML page instead of media", "{where} 返回的是网页而不是媒体流", Action{Edit, "streamer"}},
	sdk.CodeCompressed:  {"{where} answered with a compressed body ({encoding}) instead of media", "{where} 返回的是压缩内容（{encoding}）而不是媒体流", Action{Edit, "streamer"}},
	sdk.CodeNotMedia:    {"{where} sends something that is no media that can be recorded: {cause}", "{where} 发送的不是可录制的媒体流：{cause}", Action{Edit, "streamer"}},
	sdk.CodeOversized:   {"the plugin's answer is larger than {limit}, and was not read", "插件的应答超过 {limit}，未被读取", Action{Edit, "plugins"}},
	sdk.CodeSilent:      {"{where} takes the connection and sends nothing", "{where} 接受连接但不发送任何数据", Action{Wait, ""}},
	sdk.CodeAddress:     {"{where} is not asked, because of where it leads: {cause}; see --allow-addresses and --local-sources", "{where} 指向不允许访问的地址：{cause}；见 --allow-addresses 和 --local-sources", Action{Edit, "streamer"}},
	sdk.CodeUnreachable: {"{where} cannot be reached: {cause}", "{where} 无法访问：{cause}", Action{Wait, ""}},
}
