package reason

// The codes of failed requests. {where} is the address without its query, or the name of a CDN with its host.
const (
	NetRefused     = "net.refused"
	NetDNS         = "net.dns"
	NetTLS         = "net.tls"
	NetTimeout     = "net.timeout"
	NetProxy       = "net.proxy"
	NetStatus      = "net.status"
	NetHTML        = "net.html"
	NetCompressed  = "net.compressed"
	NetNotMedia    = "net.not_media"
	NetUnreachable = "net.unreachable"
)

var network = catalogue{
	NetRefused:     {"{where} refuses connections", "{where} 拒绝连接", Action{Wait, ""}},
	NetDNS:         {"{where}: the host name is not known", "{where}：无法解析主机名", Action{Edit, "streamer"}},
	NetTLS:         {"{where}: the certificate cannot be trusted: {cause}", "{where}：证书不可信：{cause}", Action{Edit, "streamer"}},
	NetTimeout:     {"{where} does not answer", "{where} 没有响应", Action{Wait, ""}},
	NetProxy:       {"the proxy {proxy} cannot be used: {cause}", "代理 {proxy} 不可用：{cause}", Action{Edit, "host"}},
	NetStatus:      {"{where} answered {status}", "{where} 返回了 {status}", Action{Wait, ""}},
	NetHTML:        {"{where} answered with an HTML page instead of media", "{where} 返回的是网页而不是媒体流", Action{Edit, "streamer"}},
	NetCompressed:  {"{where} answered with a compressed body ({encoding}) instead of media", "{where} 返回的是压缩内容（{encoding}）而不是媒体流", Action{Edit, "streamer"}},
	NetNotMedia:    {"{where} sends something that is no media that can be recorded: {cause}", "{where} 发送的不是可录制的媒体流：{cause}", Action{Edit, "streamer"}},
	NetUnreachable: {"{where} cannot be reached: {cause}", "{where} 无法访问：{cause}", Action{Wait, ""}},
}
