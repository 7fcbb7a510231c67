package bilibili

import (
	"fmt"
	"time"
)

// QRState is a state of a QR login.
type QRState string

// The states of a QR login.
const (
	QRPending   QRState = "pending"   // nobody scanned the code
	QRScanned   QRState = "scanned"   // scanned, and not confirmed
	QRConfirmed QRState = "confirmed" // done
	QRExpired   QRState = "expired"
)

// qrLife is how long the real service shows a code.
const qrLife = 180 * time.Second

type qrCode struct {
	code    string
	created time.Time
	state   QRState
	mid     int64 // who confirmed; 0: an account of its own
	script  []QRState
	used    bool
}

// QRLogin is a login by QR code that was begun.
type QRLogin struct {
	AuthCode string    `json:"auth_code"`
	Created  time.Time `json:"created"`
	State    QRState   `json:"state"`
	MID      int64     `json:"mid,omitempty"`
}

// QRLogins lists the logins that were begun, oldest first.
func (s *Server) QRLogins() []QRLogin {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]QRLogin, len(s.state.qr))
	for i, q := range s.state.qr {
		out[i] = QRLogin{AuthCode: q.code, Created: q.created, State: q.state, MID: q.mid}
	}
	return out
}

// ScanQR is a user who scanned a code and has not yet confirmed. An empty code means the newest.
func (s *Server) ScanQR(authCode string) error { return s.moveQR(authCode, QRScanned, 0) }

// ConfirmQR is a user of account mid who confirms a login; 0 confirms as an account that does not exist yet. An empty code
// means the newest.
func (s *Server) ConfirmQR(authCode string, mid int64) error {
	return s.moveQR(authCode, QRConfirmed, mid)
}

// ExpireQR makes a code void before its time. An empty code means the newest.
func (s *Server) ExpireQR(authCode string) error { return s.moveQR(authCode, QRExpired, 0) }

// ScriptQR decides which states the logins to come go through, one per poll; the last one stays.
func (s *Server) ScriptQR(states ...QRState) {
	s.update(func(st *state) { st.qrScript = states })
}

func (s *Server) moveQR(authCode string, to QRState, mid int64) (err error) {
	s.update(func(st *state) {
		q := st.findQR(authCode)
		switch {
		case q == nil:
			err = fmt.Errorf("no QR login %q was begun", authCode)
		case mid != 0 && st.accounts[mid] == nil:
			err = fmt.Errorf("there is no account %d", mid)
		default:
			q.state, q.mid, q.script = to, mid, nil
		}
	})
	return err
}

func (st *state) findQR(authCode string) *qrCode {
	if authCode == "" && len(st.qr) > 0 {
		return st.qr[len(st.qr)-1]
	}
	for _, q := range st.qr {
		if q.code == authCode {
			return q
		}
	}
	return nil
}

// qrCode begins a login.
func (x *exchange) qrCode() *answer {
	form := x.form()
	if _, refusal := x.checkSign(form, BiliTV); refusal != nil {
		return refusal
	}
	x.check(form.Get("local_id") != "", RuleSign, "parameter local_id is missing")
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	q := &qrCode{code: randomHex(16), created: x.s.now(), state: QRPending, script: x.s.state.qrScript}
	x.s.state.qr = append(x.s.state.qr, q)
	return success(map[string]any{
		"url":       "https://passport.bilibili.com/x/passport-tv-login/h5/qrcode/auth?auth_code=" + q.code,
		"auth_code": q.code,
	})
}

// qrPoll says how far a login is.
func (x *exchange) qrPoll() *answer {
	form := x.form()
	if _, refusal := x.checkSign(form, BiliTV); refusal != nil {
		return refusal
	}
	x.check(form.Get("local_id") != "", RuleSign, "parameter local_id is missing")
	if x.refused() {
		return x.failure(codeBadRequest, message(codeBadRequest))
	}
	q := x.s.state.findQR(form.Get("auth_code"))
	if form.Get("auth_code") == "" || q == nil {
		return x.failure(codeNotFound, message(codeNotFound))
	}
	switch q.next(x.s.now()) {
	case QRPending:
		return x.failure(codeQRPending, "二维码尚未确认")
	case QRScanned:
		return x.failure(codeQRScanned, "二维码已扫码未确认")
	case QRConfirmed:
		return x.loggedIn(q)
	}
	return x.failure(codeQRExpired, "二维码已失效")
}

// next is the state that a poll finds.
func (q *qrCode) next(now time.Time) QRState {
	if len(q.script) > 0 {
		q.state, q.script = q.script[0], q.script[1:]
	}
	if q.used || now.Sub(q.created) > qrLife {
		q.state = QRExpired
	}
	return q.state
}

// loggedIn hands a confirmed login out, once.
func (x *exchange) loggedIn(q *qrCode) *answer {
	q.used = true
	a := x.s.state.accounts[q.mid]
	if a == nil {
		a = x.s.state.addAccount(AccountOptions{})
		q.mid = a.MID
	}
	a.Platform = BiliTV.Name
	a.login(x.s.now())
	return success(loginData(a))
}

// qrConfirm is a web session that confirms a login in place of a phone.
func (x *exchange) qrConfirm() *answer {
	owner, ok := x.byCookies()
	if !ok {
		return x.failure(codeNotLoggedIn, message(codeNotLoggedIn))
	}
	form := x.form()
	if !x.check(form.Get("csrf") == owner.Cookies["bili_jct"], RuleCSRF, "csrf is %q, not the cookie bili_jct", form.Get("csrf")) {
		return x.failure(codeCSRF, message(codeCSRF))
	}
	x.check(form.Get("scanning_type") == "3", RuleBody, "scanning_type is %q, not 3", form.Get("scanning_type"))
	q := x.s.state.findQR(form.Get("auth_code"))
	switch {
	case x.refused():
		return x.failure(codeBadRequest, message(codeBadRequest))
	case form.Get("auth_code") == "" || q == nil:
		return x.failure(codeNotFound, message(codeNotFound))
	case q.used || x.s.now().Sub(q.created) > qrLife:
		return x.failure(codeQRExpired, "二维码已失效")
	}
	q.state, q.mid, q.script = QRConfirmed, owner.MID, nil
	return success(nil)
}
