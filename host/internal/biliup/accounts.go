package biliup

import (
	"encoding/json"
	"net/http"
)

// account is a cookie file, in biliup's words a row of its table of settings.
type account struct {
	ID       int64  `json:"id"`
	Name     string `json:"name"`
	Value    string `json:"value"`
	Platform string `json:"platform"`
}

func listAccounts(c *call) error {
	accounts := []account{}
	if err := c.ask(http.MethodGet, "/api/v1/users", nil, &accounts); err != nil {
		return err
	}
	return c.answer(accounts)
}

func addAccount(c *call) error {
	theirs, err := c.body(http.MethodPost, "/api/v1/users")
	if err != nil {
		return err
	}
	var added account
	if err := c.ask(http.MethodPost, "/api/v1/users", object{"key": orAbsent(theirs["key"]), "value": orAbsent(theirs["value"])}, &added); err != nil {
		return err
	}
	return c.answer(map[string]any{"id": added.ID, "key": added.Platform, "value": added.Value})
}

func deleteAccount(c *call) error {
	id, err := c.id()
	if err != nil {
		return err
	}
	if err := c.ask(http.MethodDelete, "/api/v1/users/"+id, nil, nil); err != nil {
		return err
	}
	return c.answer(nil)
}

// enveloped is an answer in the form in which Bilibili wraps its own: biliup passes them on as they are.
func enveloped(data any) any {
	return map[string]any{"code": 0, "message": "0", "ttl": 1, "data": data}
}

// wrapped is an operation that asks Bilibili.
func wrapped(path string) func(*call) error {
	return func(c *call) error {
		var data json.RawMessage
		if err := c.ask(http.MethodGet, c.withQuery(path), nil, &data); err != nil {
			return err
		}
		return c.answer(enveloped(data))
	}
}

// getQRCode begins a login. What is in data comes back as a whole to loginByQRCode.
func getQRCode(c *call) error {
	var code struct {
		URL       string `json:"url"`
		QRCodeKey string `json:"qrcode_key"`
	}
	if err := c.ask(http.MethodGet, "/api/v1/qrcode", nil, &code); err != nil {
		return err
	}
	return c.answer(enveloped(map[string]string{"url": code.URL, "auth_code": code.QRCodeKey}))
}

func loginByQRCode(c *call) error {
	c.names = map[string]string{"qrcode_key": "auth_code"}
	theirs, err := c.body(http.MethodPost, "/api/v1/login_by_qrcode")
	if err != nil {
		return err
	}
	key := null
	for _, place := range []object{theirs, valueOf[object](theirs["data"])} {
		for _, name := range []string{"auth_code", "qrcode_key"} {
			if value, ok := place[name]; ok {
				key = value
			}
		}
	}
	var done struct {
		Filename string `json:"filename"`
	}
	if err := c.ask(http.MethodPost, "/api/v1/login_by_qrcode", object{"qrcode_key": key}, &done); err != nil {
		return err
	}
	return c.answer(done)
}
