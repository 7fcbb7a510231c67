package accounts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
)

// held is a cookie file whose lock is held.
type held struct {
	file    string
	raw     []byte
	account *bilibili.Account
}

// finding is what a check came to.
type finding struct {
	uname   string
	expires time.Time
	// problem says why the login cannot be used, warning why not for much longer; empty: all is well.
	problem, warning string
	// wait is until the next check.
	wait time.Duration
	// unknown is why Bilibili could not be asked: then nothing above counts, and what was known before still does.
	unknown error
}

// check checks the login of a cookie file, refreshes it when that is wanted, and remembers what it found.
func (k *Keeper) check(ctx context.Context, file string) (*bilibili.Account, error) {
	unlock, err := k.Files.Lock(ctx, file)
	if err != nil {
		return nil, err
	}
	defer unlock()
	login := &held{file: file}
	if login.raw, err = k.Files.read(file); err != nil {
		return nil, err
	}
	if login.account, err = parseAccount(file, login.raw); err != nil {
		return nil, err
	}
	before, due, err := k.state(ctx, file, login.account.Fingerprint)
	if err != nil {
		return nil, err
	}
	if !due {
		return usable(login.account, before.Error) // somebody else checked while this one waited for the lock
	}
	found := k.examine(ctx, login, before)
	if found.unknown != nil && ctx.Err() != nil {
		return nil, ctx.Err() // the caller has gone; that says nothing about Bilibili
	}
	if found.unknown != nil {
		return k.postpone(ctx, login, before, found)
	}
	if err := k.save(ctx, login, before, found); err != nil {
		return nil, err
	}
	return usable(login.account, found.problem)
}

// examine asks Bilibili about a login, and refreshes it as long as that is wanted and helps.
func (k *Keeper) examine(ctx context.Context, login *held, before db.AccountState) finding {
	for refreshes := 0; ; refreshes++ {
		said, err := k.ask(ctx, login.account)
		if err != nil {
			return finding{unknown: err}
		}
		if said.accepted() && !said.refreshDue {
			return said.good(k.Pace.Check)
		}
		if refreshes == maxRefreshes {
			return k.settle(said, errors.New("refreshing it did not help"))
		}
		if err := login.account.Refreshable(); err != nil {
			return k.settle(said, err)
		}
		err = k.refresh(ctx, login)
		switch {
		case err == nil:
			k.Logger.Info("a login was refreshed", "file", login.file, "mid", login.account.Mid)
		case errors.Is(err, bilibili.ErrAnswerLost):
			return k.afterLostRefresh(ctx, login, err)
		case refusal(err) && before.RefreshBegan != nil:
			return k.settle(said, fmt.Errorf("a refresh that began at %s was interrupted, and another one is refused: %w",
				before.RefreshBegan.UTC().Format(time.RFC3339), err))
		case refusal(err):
			return k.settle(said, fmt.Errorf("a refresh is refused: %w", err))
		case said.accepted() && !errors.Is(err, errNotSaved):
			k.Logger.Warn("a login cannot be refreshed now, trying again later", "file", login.file, "error", err)
			return said.good(k.Pace.Retry)
		default:
			return finding{unknown: err}
		}
	}
}

// afterLostRefresh finds out what became of a refresh without an answer. The file is as it was: if the login in it is still
// accepted, there is nothing to mend.
func (k *Keeper) afterLostRefresh(ctx context.Context, login *held, lost error) finding {
	k.Logger.Warn("the answer to a refresh was lost", "file", login.file, "error", lost)
	said, err := k.ask(ctx, login.account)
	if err != nil {
		return finding{unknown: err}
	}
	if said.accepted() {
		return said.good(k.Pace.Retry)
	}
	return k.settle(said, errors.New("the answer to its refresh was lost, and the login before it is void"))
}

// settle is the end of a login that cannot be refreshed: now, when it is not accepted, or when it expires.
func (k *Keeper) settle(said answer, cause error) finding {
	if said.accepted() {
		found := said.good(k.Pace.Check)
		found.warning = fmt.Sprintf("this login cannot be refreshed: %v; %s before it expires", cause, howToLogIn)
		return found
	}
	return finding{
		uname: said.uname, expires: said.expires, wait: k.Pace.Refused,
		problem: fmt.Sprintf("Bilibili does not accept this login any more: %v; %s", cause, howToLogIn),
	}
}

// answer is what Bilibili says about a login.
type answer struct {
	tokenRefused, cookiesRefused bool
	refreshDue                   bool
	uname                        string
	expires                      time.Time
}

func (a answer) accepted() bool { return !a.tokenRefused && !a.cookiesRefused }

func (a answer) good(wait time.Duration) finding {
	return finding{uname: a.uname, expires: a.expires, wait: wait}
}

// ask asks about the token, if the file has one that can be asked about, and the cookies. An error means that there is no
// answer, which says nothing about the login.
func (k *Keeper) ask(ctx context.Context, account *bilibili.Account) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*askTimeout)
	defer cancel()
	said := answer{expires: account.Expires}
	if account.Checkable() {
		token, err := k.Client.CheckToken(ctx, account)
		if said.tokenRefused = notLoggedIn(err); err != nil && !said.tokenRefused {
			return said, err
		}
		if said.refreshDue = token.RefreshDue; !token.Expires.IsZero() && (said.expires.IsZero() || token.Expires.Before(said.expires)) {
			said.expires = token.Expires
		}
	}
	info, err := k.Client.MyInfo(ctx, account)
	if said.cookiesRefused = notLoggedIn(err); err != nil && !said.cookiesRefused {
		return said, err
	}
	if err := json.Unmarshal(info["name"], &said.uname); err != nil && !said.cookiesRefused {
		return said, fmt.Errorf("%w: the name of the account cannot be read", bilibili.ErrAnswerLost)
	}
	return said, nil
}

func notLoggedIn(err error) bool {
	var refused *bilibili.RefusedError
	return errors.As(err, &refused) && refused.Code == bilibili.CodeNotLoggedIn
}

// busyCodes are refusals that say nothing about a login: risk control, too many calls, and the other side's own trouble.
var busyCodes = map[int]bool{-352: true, -403: true, -405: true, -412: true, -429: true, -500: true, -502: true, -503: true, -504: true, -509: true, -702: true, -799: true}

// refusal tells whether an error is a definite no to what was asked.
func refusal(err error) bool {
	var refused *bilibili.RefusedError
	return errors.As(err, &refused) && !busyCodes[refused.Code]
}

// refresh exchanges the login for a new one and puts it into its file. Everything that can go wrong here goes wrong before
// Bilibili makes the old one void; what is asked for then is seen to its end, even when the host stops.
func (k *Keeper) refresh(ctx context.Context, login *held) error {
	draft, err := k.Files.draft(login.file)
	if err != nil {
		return err
	}
	defer draft.discard()
	began := db.RefreshBeginsParams{HostID: k.HostID, File: login.file, Fingerprint: login.account.Fingerprint, Mid: login.account.Mid}
	if err := k.DB.RefreshBegins(ctx, began); err != nil {
		return fmt.Errorf("save state of account: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	renewed, err := k.Client.Refresh(ctx, login.account)
	if err != nil {
		return err
	}
	raw, err := fileOf(renewed, login.raw)
	if err != nil {
		return err
	}
	account, err := parseAccount(login.file, raw)
	if err != nil {
		return err
	}
	// From here on the new login is the one to use, even if the disk refuses it now.
	before := login.raw
	login.raw, login.account = raw, account
	if err = draft.commit(raw); err == nil {
		return nil
	}
	if again := k.Files.replace(login.file, before, renewed); again == nil {
		return nil
	}
	k.Logger.Error("a refreshed login could not be saved", "file", login.file, "error", err)
	return fmt.Errorf("%w: %w", errNotSaved, err)
}

// errNotSaved means that a login was refreshed and its file still holds the old one.
var errNotSaved = errors.New("a refreshed login could not be saved")

// save remembers what a check found, and tells about it when that changed.
func (k *Keeper) save(ctx context.Context, login *held, before db.AccountState, found finding) error {
	// A refresh may have outlived the caller; what became of it is worth the moment that this takes.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	var expires *time.Time
	if !found.expires.IsZero() {
		expires = &found.expires
	}
	err := k.DB.SaveAccountState(ctx, db.SaveAccountStateParams{
		HostID: k.HostID, File: login.file, Fingerprint: login.account.Fingerprint, Mid: login.account.Mid, Uname: db.Text(found.uname),
		ExpiresAt: expires, Error: db.Text(found.problem), Warning: db.Text(found.warning), Seconds: stretched(found.wait).Seconds(),
	})
	if err != nil {
		return fmt.Errorf("save state of account: %w", err)
	}
	same := before.Fingerprint == login.account.Fingerprint && before.CheckedAt != nil
	if found.problem != "" && (!same || before.Error != found.problem) {
		k.Logger.Warn("an account cannot be used", "file", login.file, "mid", login.account.Mid, "error", found.problem)
	}
	if found.warning != "" && (!same || before.Warning != found.warning) {
		k.Logger.Warn("an account needs a new login soon", "file", login.file, "mid", login.account.Mid, "warning", found.warning)
	}
	if k.Changed != nil && (!same || before.Error != found.problem) {
		k.Changed()
	}
	return nil
}

// postpone leaves a login as it is known: that Bilibili cannot be asked says nothing about it.
func (k *Keeper) postpone(ctx context.Context, login *held, before db.AccountState, found finding) (*bilibili.Account, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
	defer cancel()
	k.Logger.Warn("Bilibili cannot be asked about an account, trying again later", "file", login.file, "error", found.unknown)
	err := k.DB.PostponeAccountCheck(ctx, db.PostponeAccountCheckParams{
		HostID: k.HostID, File: login.file, Fingerprint: login.account.Fingerprint, Mid: login.account.Mid, Seconds: stretched(k.Pace.Retry).Seconds(),
	})
	if err != nil {
		return nil, fmt.Errorf("save state of account: %w", err)
	}
	if before.Fingerprint != login.account.Fingerprint {
		return login.account, nil
	}
	return usable(login.account, before.Error)
}
