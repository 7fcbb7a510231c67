package bilibili

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// UploadCover gives a picture an address at Bilibili, which a submission can name as its cover. It takes what FitCover answers, and may be
// repeated.
func (c *Client) UploadCover(ctx context.Context, account *Account, picture []byte) (string, error) {
	const path = "/x/vu/web/cover/up"
	if account.Cookies[csrfCookie] == "" {
		return "", fmt.Errorf("%w: cookie file %q has no cookie %s, which covers need; log in by QR code", ErrNoAccount, account.File, csrfCookie)
	}
	if err := checkCover(picture); err != nil {
		return "", err
	}
	form := url.Values{
		// The label is jpeg for PNG too: that is what biliup sends.
		"cover": {"data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(picture)},
		"csrf":  {account.Cookies[csrfCookie]},
	}
	var answer struct {
		URL string `json:"url"`
	}
	err := c.do(ctx, call{
		method: http.MethodPost, base: c.options.MemberURL, path: path, form: form, cookies: account.Cookies, agent: webAgent,
	}, &answer)
	if err != nil {
		return "", err
	}
	address := strings.Replace(answer.URL, "http://", "https://", 1)
	if strings.HasPrefix(address, "//") {
		address = "https:" + address
	}
	if parsed, err := url.Parse(address); err != nil || parsed.Scheme != "https" || parsed.Host == "" {
		return "", fmt.Errorf("%w: %s: it names no address of the cover", ErrAnswerLost, path)
	}
	return address, nil
}

// IsCoverURL tells whether an address is one of Bilibili's own pictures, which a submission can name as it is.
func IsCoverURL(address string) bool {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return false
	}
	host := strings.ToLower(parsed.Hostname())
	return strings.HasSuffix(host, ".hdslb.com") || strings.HasSuffix(host, ".biliimg.com")
}

// checkCover keeps what Bilibili would refuse from being sent.
func checkCover(picture []byte) error {
	config, format, err := measure(picture)
	if err == nil && (format != "jpeg" && format != "png" || config.Width < minWidth || config.Height < minHeight) {
		err = fmt.Errorf("%w: it must be a JPEG or PNG picture of at least %d×%d pixels", ErrNoPicture, minWidth, minHeight)
	}
	return err
}
