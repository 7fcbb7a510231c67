package bilibili

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// QRLife is how long a QR code can be confirmed.
const QRLife = 180 * time.Second

// The states of a login by QR code that is not done, as errors of PollQR.
var (
	// ErrQRPending: nobody has scanned the code yet.
	ErrQRPending = errors.New("nobody has scanned the QR code yet")
	// ErrQRScanned: it was scanned, and is not confirmed yet.
	ErrQRScanned = errors.New("the QR code was scanned and is not confirmed yet")
	// ErrQRExpired: it cannot be confirmed any more.
	ErrQRExpired = errors.New("the QR code has expired")
)

const (
	codeQRPending = 86039
	codeQRScanned = 86090
	codeQRExpired = 86038
)

// QRCode is a login that was begun.
type QRCode struct {
	// URL is what the QR code shows to Bilibili's app.
	URL string `json:"url"`
	// AuthCode names the login in polls. It is a secret until the login is done: who has it gets the login.
	AuthCode string `json:"auth_code"`
}

// Login is a login that is done; Save writes its cookie file.
type Login struct {
	Mid  int64
	file []byte
}

// BeginQR begins a login by QR code, as a television does.
//
// Source of the protocol: bilibili-API-collect (login/login_action/QR.md, the TV part).
func (c *Client) BeginQR(ctx context.Context) (QRCode, error) {
	const path = "/x/passport-tv-login/qrcode/auth_code"
	var code QRCode
	if err := c.postForm(ctx, path, url.Values{"local_id": {"0"}}, &code); err != nil {
		return QRCode{}, err
	}
	if code.URL == "" || code.AuthCode == "" {
		return QRCode{}, fmt.Errorf("%w: %s: it holds no QR code", ErrAnswerLost, path)
	}
	return code, nil
}

// PollQR asks how far a login is: done, or one of the errors above. It is done only once; a lost answer is a lost login.
func (c *Client) PollQR(ctx context.Context, authCode string) (*Login, error) {
	const path = "/x/passport-tv-login/qrcode/poll"
	var answer loginAnswer
	err := c.postForm(ctx, path, url.Values{"local_id": {"0"}, "auth_code": {authCode}}, &answer)
	var refused *RefusedError
	if errors.As(err, &refused) {
		switch refused.Code {
		case codeQRPending:
			return nil, ErrQRPending
		case codeQRScanned:
			return nil, ErrQRScanned
		case codeQRExpired:
			return nil, ErrQRExpired
		}
	}
	if err != nil {
		return nil, err
	}
	return answer.login("BiliTV")
}

// loginAnswer is what a login ends in. Of the parts only what is used is looked at; the rest is kept as it is.
type loginAnswer struct {
	CookieInfo json.RawMessage `json:"cookie_info"`
	TokenInfo  json.RawMessage `json:"token_info"`
	SSO        json.RawMessage `json:"sso"`
}

// login makes a cookie file in biliup's form. The platform says which key pair may refresh the tokens later.
func (a loginAnswer) login(platform string) (*Login, error) {
	if len(a.SSO) == 0 {
		a.SSO = json.RawMessage("[]")
	}
	file, err := json.MarshalIndent(struct {
		loginAnswer
		Platform string `json:"platform"`
	}{a, platform}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: the login cannot be read", ErrAnswerLost)
	}
	account, err := parseAccount("the new login", file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAnswerLost, err)
	}
	if account.Mid <= 0 || account.accessToken == "" {
		return nil, fmt.Errorf("%w: the login does not say whose it is", ErrAnswerLost)
	}
	return &Login{Mid: account.Mid, file: append(file, '\n')}, nil
}

// postForm sends a signed form to the passport host.
func (c *Client) postForm(ctx context.Context, path string, form url.Values, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	form.Set("ts", strconv.FormatInt(c.now().Unix(), 10))
	body := keyTV.sign(form).Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.options.PassportURL+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("build %s: %w", path, withoutURL(err))
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("User-Agent", webAgent)
	request.Header.Set("Referer", "https://www.bilibili.com/")
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", sendFailure(err), path, withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAnswerLost, path, err)
	}
	return decode(path, response.StatusCode, raw, out)
}

// AccountFiles writes cookie files of one data directory. Whoever changes a file holds its lock from reading it to replacing
// it: a refreshed login makes the one before worthless.
type AccountFiles struct {
	dataDir string
	mu      sync.Mutex
	locks   map[string]*accountLock
}

type accountLock struct {
	held chan struct{}
	// users counts holders and waiters; the last one removes the lock.
	users int
}

// NewAccountFiles is for a data directory that no other process writes accounts into.
func NewAccountFiles(dataDir string) *AccountFiles {
	return &AccountFiles{dataDir: dataDir, locks: make(map[string]*accountLock)}
}

// Lock waits for the lock of a cookie file, named as LocalName returns it. The returned function unlocks.
func (f *AccountFiles) Lock(ctx context.Context, file string) (unlock func(), err error) {
	f.mu.Lock()
	lock := f.locks[file]
	if lock == nil {
		lock = &accountLock{held: make(chan struct{}, 1)}
		f.locks[file] = lock
	}
	lock.users++
	f.mu.Unlock()
	leave := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if lock.users--; lock.users == 0 {
			delete(f.locks, file)
		}
	}
	select {
	case lock.held <- struct{}{}:
		return func() { <-lock.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, fmt.Errorf("wait for cookie file %s: %w", file, ctx.Err())
	}
}

// Save writes a login to <mid>.json and returns that name. A reader sees the whole old file or the whole new one, and
// nobody but the owner of the process can read it.
func (f *AccountFiles) Save(ctx context.Context, login *Login) (string, error) {
	file := strconv.FormatInt(login.Mid, 10) + ".json"
	unlock, err := f.Lock(ctx, file)
	if err != nil {
		return "", err
	}
	defer unlock()
	root, err := os.OpenRoot(f.dataDir)
	if err != nil {
		return "", fmt.Errorf("open data directory: %w", err)
	}
	defer func() { _ = root.Close() }()
	temporary := "." + file + "." + rand.Text()
	if err := writeSynced(root, temporary, login.file); err != nil {
		return "", errors.Join(fmt.Errorf("write cookie file %s: %w", file, err), removeIfThere(root, temporary))
	}
	if err := root.Rename(temporary, file); err != nil {
		return "", errors.Join(fmt.Errorf("put cookie file %s in place: %w", file, err), removeIfThere(root, temporary))
	}
	return file, syncDir(root)
}

func writeSynced(root *os.Root, name string, content []byte) error {
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func removeIfThere(root *os.Root, name string) error {
	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("open data directory: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}
