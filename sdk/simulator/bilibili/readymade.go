package bilibili

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The constructors below make faults that strike once. Change that with For and Always, and where they strike with On and
// Where.

// For makes the fault strike n times.
func (f Fault) For(n int) Fault { f.Times = n; return f }

// Always makes the fault strike until it is removed.
func (f Fault) Always() Fault { f.Times = 0; return f }

// After lets n matching requests pass first.
func (f Fault) After(n int) Fault { f.Skip = n; return f }

// On makes another call the fault's target.
func (f Fault) On(call Call) Fault { f.Match.Call = call; return f }

// OfLine limits the fault to a line.
func (f Fault) OfLine(line string) Fault { f.Match.Line = line; return f }

// OfPart limits the fault to a chunk, counted from 1.
func (f Fault) OfPart(part int) Fault { f.Match.Part = part; return f }

// OfAccount limits the fault to an account.
func (f Fault) OfAccount(mid int64) Fault { f.Match.MID = mid; return f }

func once(call Call, action Action) Fault {
	return Fault{Match: Match{Call: call}, Action: action, Times: 1}
}

func answering(call Call, status int, body string) Fault {
	return once(call, Action{Do: DoAnswer, Status: status, Body: body})
}

const (
	html        = "<!DOCTYPE html>\n<html><head><title>error</title></head><body>The request was stopped by the gateway.</body></html>\n"
	tooFastText = "您上传视频过快，请您稍作休息后再继续"
)

// Status answers a call with an HTTP status and no body.
func Status(call Call, status int) Fault { return answering(call, status, "") }

// HTML answers a call with an HTTP status and a page, as gateways and the risk control do.
func HTML(call Call, status int) Fault { return answering(call, status, html) }

// Slow keeps the answer to a call back for a while.
func Slow(call Call, d time.Duration) Fault {
	return once(call, Action{Do: DoStallAnswer, Duration: d})
}

// Hang takes a call and neither does anything nor answers, until ReleaseFault.
func Hang(call Call) Fault { return once(call, Action{Do: DoStall}) }

// Reset cuts the connection instead of doing anything.
func Reset(call Call) Fault { return once(call, Action{Do: DoReset}) }

// AnswerLost does what a call asks for and cuts the connection instead of answering.
func AnswerLost(call Call) Fault { return once(call, Action{Do: DoLose}) }

// Code answers a submission with a business error; with On, any other call of the creator, account and passport roles.
func Code(code int) Fault {
	answer := map[string]any{"code": code, "message": message(code), "ttl": 1}
	if code == codeCaptcha || code == codeRiskControl {
		answer["data"] = map[string]any{"v_voucher": "voucher_00000000-0000-0000-0000-000000000000"}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		panic(err) // numbers and strings
	}
	return answering(CallSubmit, http.StatusOK, string(body))
}

// CodeButMade answers a submission with a business error although the archive was made, as gateways do with -502.
func CodeButMade(code int) Fault {
	f := Code(code)
	f.Action.Do = DoReplace
	return f
}

// RateLimited406 refuses a preupload the way that was seen in 2025.
func RateLimited406() Fault {
	return answering(CallPreupload, http.StatusNotAcceptable, `{"code":406,"message":"`+tooFastText+`"}`)
}

const voucher = `{"OK":0,"code":601,"info":"` + tooFastText + `","message":"` + tooFastText +
	`","detail":{"v_voucher":"voucher_00000000-0000-0000-0000-000000000000"}}`

// Voucher601 refuses a preupload with a captcha that a program cannot solve, with HTTP status 406.
func Voucher601() Fault { return answering(CallPreupload, http.StatusNotAcceptable, voucher) }

// Voucher601OK is Voucher601 with HTTP status 200.
func Voucher601OK() Fault { return answering(CallPreupload, http.StatusOK, voucher) }

// NotLoggedIn answers a preupload with code -101; with On, any other call.
func NotLoggedIn() Fault { return Code(codeNotLoggedIn).On(CallPreupload) }

// RiskControl412 stops a preupload with an HTML page; with On, any other call.
func RiskControl412() Fault { return HTML(CallPreupload, http.StatusPreconditionFailed) }

// NoChunkSize leaves chunk_size out of the answer to a preupload.
func NoChunkSize() Fault {
	return once(CallPreupload, Action{Do: DoEdit, Drop: []string{"chunk_size"}})
}

// ChunkSize grants a file with another chunk size, which its upload then has to keep.
func ChunkSize(bytes int64) Fault {
	return once(CallPreupload, Action{Do: DoEdit, Set: map[string]any{"chunk_size": bytes}})
}

// BizID grants a file with this number.
func BizID(id int64) Fault {
	return once(CallPreupload, Action{Do: DoEdit, Set: map[string]any{"biz_id": id}})
}

// NoEndpoints leaves the list of alternative hosts out of the answer to a preupload.
func NoEndpoints() Fault { return once(CallPreupload, Action{Do: DoEdit, Drop: []string{"endpoints"}}) }

// OtherEndpoint grants a file on the host of another line than was asked for.
func (s *Server) OtherEndpoint(line string) Fault {
	return once(CallPreupload, Action{Do: DoEdit, Set: map[string]any{"endpoint": s.endpoint(line)}})
}

// EmptyProbe offers no lines.
func EmptyProbe() Fault {
	return once(CallProbe, Action{Do: DoEdit, Set: map[string]any{"lines": []any{}}})
}

// ProbeByGet asks clients to measure with GET.
func ProbeByGet() Fault {
	return once(CallProbe, Action{Do: DoEdit, Set: map[string]any{"probe.get": 1}})
}

// InitXML answers init with XML, as for a client that forgot output=json.
func InitXML() Fault {
	return answering(CallInit, http.StatusOK, `<?xml version="1.0" encoding="UTF-8"?><InitiateMultipartUploadResult/>`)
}

// NoUploadID leaves upload_id out of the answer to init.
func NoUploadID() Fault { return once(CallInit, Action{Do: DoEdit, Drop: []string{"upload_id"}}) }

// Auth5Day refuses a chunk because its authorisation is too old.
func Auth5Day() Fault {
	f := Status(CallPart, http.StatusForbidden)
	f.Action.Header = map[string]string{
		"X-Upos-Auth": "AUTH_TS_GT_5DAY AUTH=1766700000.1 Now=1767225600.0 DURATION=525599",
	}
	return f
}

// PartStatus answers a chunk with an HTTP status, without storing it.
func PartStatus(part, status int) Fault { return Status(CallPart, status).OfPart(part) }

// ResetBeforeBody cuts the connection of a chunk before its body was read.
func ResetBeforeBody(part int) Fault { return Reset(CallPart).OfPart(part) }

// ResetMidBody cuts the connection of a chunk after so many bytes of its body.
func ResetMidBody(part int, bytes int64) Fault {
	return once(CallPart, Action{Do: DoReset, AfterBytes: bytes}).OfPart(part)
}

// PartAnswerLost stores a chunk and cuts the connection instead of saying so.
func PartAnswerLost(part int) Fault { return AnswerLost(CallPart).OfPart(part) }

// StallPart stops reading a chunk after so many bytes, until ReleaseFault.
func StallPart(part int, bytes int64) Fault {
	return once(CallPart, Action{Do: DoStall, AfterBytes: bytes}).OfPart(part)
}

// EmptyPartAnswer stores chunks and answers 200 without a body, as some lines do.
func EmptyPartAnswer() Fault { return once(CallPart, Action{Do: DoReplace, Status: http.StatusOK}) }

// Bandwidth is how fast the chunks of a line ("": of every line) are taken in, all together. It strikes always.
func Bandwidth(line string, bytesPerSecond int64) Fault {
	return once(CallPart, Action{Do: DoThrottle, BytesPerSecond: bytesPerSecond}).OfLine(line).Always()
}

// BandwidthPerRequest is the same for each chunk by itself.
func BandwidthPerRequest(line string, bytesPerSecond int64) Fault {
	f := Bandwidth(line, bytesPerSecond)
	f.Action.PerRequest = true
	return f
}

// CompleteNotOK answers complete with "OK":0.
func CompleteNotOK() Fault {
	return answering(CallComplete, http.StatusOK, `{"OK":0,"code":500,"message":"failed"}`)
}

// CompleteXML answers complete with an XML error.
func CompleteXML() Fault {
	return answering(CallComplete, http.StatusBadRequest,
		`<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidArgument</Code><Message>Encoding type is invalid</Message></Error>`)
}

// BlockBadGateway answers a block with 502, without storing it.
func BlockBadGateway() Fault { return HTML(CallBlock, http.StatusBadGateway) }

// MakeFileBadRequest answers mkfile with 400, as was seen when blocks did not belong together any more.
func MakeFileBadRequest() Fault {
	return answering(CallMakeFile, http.StatusBadRequest, `{"error":"invalid argument"}`)
}

// NoSuchBucket answers a block with an error of Qiniu: the bucket is gone. With On, any other call of the kodo line.
func NoSuchBucket() Fault { return answering(CallBlock, statusNoBucket, `{"error":"no such bucket"}`) }

// FetchNotOK answers a fetch with "OK":0.
func FetchNotOK() Fault {
	return answering(CallFetch, http.StatusOK, `{"OK":0,"code":500,"info":"fetch failed"}`)
}

// HeadLength tells a wrong length in the answer to HEAD.
func HeadLength(bytes int64) Fault {
	f := once(CallObject, Action{Do: DoReplace, Status: http.StatusOK})
	f.Action.Header = map[string]string{"Content-Length": fmt.Sprint(bytes)}
	f.Match.Method = http.MethodHead
	return f
}

// GetForbidden refuses GET of a stored file where HEAD is allowed, as one line is known to do.
func GetForbidden() Fault {
	f := Status(CallObject, http.StatusForbidden)
	f.Match.Method = http.MethodGet
	return f
}

// SubmitAnswerLost creates the archive and cuts the connection instead of saying so.
func SubmitAnswerLost() Fault { return AnswerLost(CallSubmit) }

// RefreshWithoutCookies leaves the cookies out of the answer to a token refresh.
func RefreshWithoutCookies() Fault {
	return once(CallRefresh, Action{Do: DoEdit, Drop: []string{"data.cookie_info"}})
}

// RefreshAnswerLost gives the account a new session, which makes the old one void, and cuts the connection instead of handing
// it out: the login is lost unless a person logs in again.
func RefreshAnswerLost() Fault { return AnswerLost(CallRefresh) }

// RefreshRefused answers a refresh as if its token were not valid.
func RefreshRefused() Fault { return Code(codeNotLoggedIn).On(CallRefresh) }

// CoverNull answers a cover with success and without its URL.
func CoverNull() Fault { return once(CallCover, Action{Do: DoEdit, Set: map[string]any{"data": nil}}) }

// CoverHTTP names the uploaded cover by an http: URL.
func CoverHTTP() Fault {
	return once(CallCover, Action{Do: DoEdit, Set: map[string]any{"data.url": "http://archive.biliimg.com/bfs/archive/0123.jpg"}})
}

// named are the faults that scripts can ask for by name. Their place and number can be changed by the other fields.
var named = map[string]func() Fault{
	"rate_limited_406": RateLimited406, "voucher_601": Voucher601, "voucher_601_ok": Voucher601OK, "not_logged_in": NotLoggedIn,
	"risk_control_412": RiskControl412, "no_chunk_size": NoChunkSize, "no_endpoints": NoEndpoints, "empty_probe": EmptyProbe,
	"probe_by_get": ProbeByGet, "init_xml": InitXML, "no_upload_id": NoUploadID, "auth_5_day": Auth5Day,
	"empty_part_answer": EmptyPartAnswer, "complete_not_ok": CompleteNotOK, "complete_xml": CompleteXML,
	"get_forbidden": GetForbidden, "submit_answer_lost": SubmitAnswerLost, "submit_502_made": func() Fault { return CodeButMade(-502) },
	"refresh_without_cookies": RefreshWithoutCookies,
	"refresh_answer_lost":     RefreshAnswerLost, "refresh_refused": RefreshRefused,
	"cover_null": CoverNull, "cover_http": CoverHTTP,
	"part_answer_lost": func() Fault { return AnswerLost(CallPart) }, "part_reset": func() Fault { return Reset(CallPart) },
	"part_hang":            func() Fault { return Hang(CallPart) },
	"complete_answer_lost": func() Fault { return AnswerLost(CallComplete) },
	"mkblk_502":            BlockBadGateway, "mkfile_400": MakeFileBadRequest, "no_such_bucket": NoSuchBucket, "fetch_not_ok": FetchNotOK,
}

// NamedFault is a ready-made fault by its name in snake case, such as voucher_601.
func NamedFault(name string) (Fault, error) {
	if construct, ok := named[name]; ok {
		return construct(), nil
	}
	return Fault{}, fmt.Errorf("fault %q is not known: use one of %s", name, strings.Join(slices.Sorted(maps.Keys(named)), ", "))
}
