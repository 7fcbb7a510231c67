package bilibili

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // the formats that covers may have
	_ "image/png"
	"net/http"
	"net/url"
	"strings"
)

// MaxCover is how many bytes a cover may have. Bilibili does not say what it takes; pages ask for less than 5 MB.
const MaxCover = 8 << 20

// ErrNoPicture means that something cannot be a cover; its text says what can.
var ErrNoPicture = errors.New("it cannot be a cover")

// CheckCover returns nil when a picture can be a cover.
func CheckCover(picture []byte) error {
	switch {
	case len(picture) == 0:
		return fmt.Errorf("%w: it is empty", ErrNoPicture)
	case len(picture) > MaxCover:
		return fmt.Errorf("%w: it has more than %d MiB", ErrNoPicture, MaxCover>>20)
	}
	// Other packages of the program may bring decoders for more formats.
	if _, format, err := image.DecodeConfig(bytes.NewReader(picture)); err != nil || format != "jpeg" && format != "png" {
		kind, _, _ := strings.Cut(http.DetectContentType(picture), ";")
		return fmt.Errorf("%w: it must be a JPEG or PNG picture, and is %s", ErrNoPicture, kind)
	}
	return nil
}

// UploadCover gives a picture an address at Bilibili, which a submission can name as its cover. It may be repeated.
func (c *Client) UploadCover(ctx context.Context, account *Account, picture []byte) (string, error) {
	const path = "/x/vu/web/cover/up"
	if account.Cookies[csrfCookie] == "" {
		return "", fmt.Errorf("%w: cookie file %q has no cookie %s, which covers need; log in by QR code", ErrNoAccount, account.File, csrfCookie)
	}
	if err := CheckCover(picture); err != nil {
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
