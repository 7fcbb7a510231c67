package bilibili

import (
	"errors"
	"time"
)

// ErrNoAccount means that a login is missing or unusable; its text says which and what to do.
var ErrNoAccount = errors.New("account cannot be used")

// Account is a login, as calls use it.
type Account struct {
	// File is the name of its cookie file as the operator wrote it, for texts.
	File    string
	Mid     int64
	Cookies map[string]string
	// AccessToken and RefreshToken are empty where a login has cookies only.
	AccessToken, RefreshToken string
	// Platform is the kind of login, which decides whose key pair signs its check and its refresh; empty: not known.
	Platform string
	// Expires is when the session cookie ends; zero: not known.
	Expires time.Time
	// Fingerprint tells one content of the file from another, and nothing about it.
	Fingerprint string
}

// String names the account without its secrets, also where it gets into a log by mistake.
func (a Account) String() string { return "account of " + a.File }

// GoString is String.
func (a Account) GoString() string { return a.String() }

// Checkable tells whether CheckToken can be asked about the account.
func (a *Account) Checkable() bool {
	_, known := loginKey(a.Platform)
	return known && a.AccessToken != ""
}

// SessionCookie is the cookie that is the login; csrfCookie is what calls that change something repeat as csrf.
const (
	SessionCookie = "SESSDATA"
	csrfCookie    = "bili_jct"
)
