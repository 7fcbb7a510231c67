package accounts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/lubod/lubod/db"
	"github.com/lubod/lubod/host/internal/bilibili"
)

// Pace are the waiting times of a Keeper. Each is stretched a little at random, so that accounts and hosts do not move
// in step.
type Pace struct {
	// Check between two checks of a login that is right.
	Check time.Duration
	// Retry after Bilibili could not be asked.
	Retry time.Duration
	// Refused between two looks at a login that Bilibili does not accept.
	Refused time.Duration
	// Round between two looks at which files there are and which check is due.
	Round time.Duration
}

func defaultPace() Pace {
	return Pace{Check: 20 * time.Hour, Retry: 10 * time.Minute, Refused: time.Hour, Round: 5 * time.Minute}
}

const (
	// askTimeout bounds one question of a check, and one refresh: a host that stops waits for a refresh.
	askTimeout = 15 * time.Second
	// doubt is how long a login counts as unusable that checks find right and calls are refused with.
	doubt = 15 * time.Minute
	// maxRefreshes bounds the refreshes of one check: the second is for a first one that brought half a login.
	maxRefreshes = 2
	// stretch is by how much a waiting time may be longer.
	stretch = 0.4
)

// Options are what a Keeper needs.
type Options struct {
	DB     *db.DB
	HostID uuid.UUID
	Files  *Files
	Client *bilibili.Client
	Logger *slog.Logger
	// Changed is told when an account became usable or unusable, or is another one. It must not block.
	Changed func()
	// Pace are the waiting times; the zero value means those meant for real life.
	Pace Pace
}

// Keeper keeps the accounts of a host usable: it checks their logins before they are used and daily, refreshes them when
// Bilibili asks for it, and remembers which are not accepted any more, so that Bilibili is not asked in vain.
type Keeper struct {
	Options
	look chan struct{}
}

// NewKeeper prepares a keeper; Account works from then on, Run checks in the background.
func New(options Options) *Keeper {
	if options.Pace == (Pace{}) {
		options.Pace = defaultPace()
	}
	return &Keeper{Options: options, look: make(chan struct{}, 1)}
}

// Run checks what is due until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	err := k.DB.Outlast(ctx, "logins", func(ctx context.Context) error { return k.DB.HurryInterruptedRefreshes(ctx, k.HostID) })
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("look for interrupted refreshes: %w", err)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.look:
		case <-timer.C:
		}
		k.round(ctx)
		timer.Reset(stretched(k.Pace.Round))
	}
}

// Look lets Run see at once which files there are, and what is due. It does not block.
func (k *Keeper) Look() {
	select {
	case k.look <- struct{}{}:
	default:
	}
}

func (k *Keeper) round(ctx context.Context) {
	files, err := k.DB.CookieFiles(ctx)
	if err != nil && ctx.Err() == nil {
		k.Logger.Warn("accounts cannot be checked, trying again later", "error", err)
	}
	for _, file := range files {
		if ctx.Err() != nil {
			return
		}
		if _, err := k.Account(ctx, file); err != nil && !errors.Is(err, bilibili.ErrNoAccount) && ctx.Err() == nil {
			k.Logger.Warn("an account cannot be checked, trying again later", "file", file, "error", err)
		}
	}
}

// Account returns the login of a cookie file, checked and refreshed when that is due. bilibili.ErrNoAccount means that a person has to
// act, and its text says how; another error is trouble of this host. A login that Bilibili cannot be asked about is returned
// as it is. An empty name is that of Default.
func (k *Keeper) Account(ctx context.Context, name string) (*bilibili.Account, error) {
	if name == "" {
		var err error
		if name, err = k.Default(ctx); err != nil {
			return nil, err
		}
	}
	local, err := LocalName(name)
	if err != nil {
		return nil, err
	}
	file := k.Files.real(local)
	account, err := Load(k.Files.dataDir, file)
	if err == nil && !k.Files.unfinished(file) {
		state, due, err := k.state(ctx, file, account.Fingerprint)
		if err != nil {
			return nil, err
		}
		if !due {
			account.File = name
			return usable(account, state.Error)
		}
	} else if err != nil && !k.Files.unfinished(file) {
		return nil, err
	}
	if account, err = k.check(ctx, file); err != nil {
		return nil, err
	}
	account.File = name
	return account, nil
}

func usable(account *bilibili.Account, problem string) (*bilibili.Account, error) {
	if problem != "" {
		return nil, fmt.Errorf("%w: cookie file %q: %s", bilibili.ErrNoAccount, account.File, problem)
	}
	return account, nil
}

// Save writes a new login to a file of its account and returns the file's name.
func (k *Keeper) Save(ctx context.Context, login *bilibili.Login) (string, error) {
	file, err := k.Files.Save(ctx, login)
	if err == nil {
		k.Look()
	}
	return file, err
}

// Rejected tells that Bilibili refused a call because of the login. The next one who wants the account has it checked, and
// refreshed if that helps. When a check has found nothing wrong a moment ago, the account counts as unusable for a while.
func (k *Keeper) Rejected(ctx context.Context, account *bilibili.Account) error {
	local, err := LocalName(account.File)
	if err != nil {
		return err
	}
	// A file that was replaced meanwhile has another fingerprint: nothing is held against it.
	_, err = k.DB.RejectAccount(ctx, db.RejectAccountParams{
		HostID: k.HostID, File: k.Files.real(local), Fingerprint: account.Fingerprint, Seconds: doubt.Seconds(),
		Error: "Bilibili refuses calls with this login although a check finds it right; " + howToLogIn,
	})
	if err != nil {
		return fmt.Errorf("save state of account: %w", err)
	}
	return nil
}

// howToLogIn is the way out of every trouble with a login.
const howToLogIn = "log in again by QR code (GET /api/v1/qrcode), or put another cookie file in its place"

// State is what is known of a cookie file.
type State struct {
	Mid   int64
	Uname string
	// Expires is when the login ends; zero: not known.
	Expires time.Time
	// Error says why the account cannot be used, and Warning why not for much longer. Empty: all is well.
	Error, Warning string
	// Checked is when Bilibili was asked last; zero: never.
	Checked time.Time
}

// States tells about cookie files without asking Bilibili, in the order of the names.
func (k *Keeper) States(ctx context.Context, names ...string) ([]State, error) {
	rows, err := k.DB.AccountStates(ctx, k.HostID)
	if err != nil {
		return nil, fmt.Errorf("read states of accounts: %w", err)
	}
	known := make(map[string]db.AccountState, len(rows))
	for _, row := range rows {
		known[row.File] = row
	}
	states := make([]State, 0, len(names))
	for _, name := range names {
		states = append(states, k.stateOf(name, known))
	}
	return states, nil
}

func (k *Keeper) stateOf(name string, known map[string]db.AccountState) State {
	local, err := LocalName(name)
	if err != nil {
		return State{Error: err.Error()}
	}
	file := k.Files.real(local)
	account, err := Load(k.Files.dataDir, file)
	if errors.Is(err, fs.ErrNotExist) {
		return State{Error: fmt.Sprintf("there is no file %s in the data directory yet", local)}
	}
	if err != nil {
		return State{Error: err.Error()}
	}
	row, ok := known[file]
	if !ok || row.Fingerprint != account.Fingerprint {
		return State{Mid: account.Mid, Expires: account.Expires}
	}
	state := State{Mid: row.Mid, Uname: row.Uname, Error: row.Error, Warning: row.Warning, Expires: account.Expires}
	if row.ExpiresAt != nil {
		state.Expires = *row.ExpiresAt
	}
	if row.CheckedAt != nil {
		state.Checked = *row.CheckedAt
	}
	return state
}

// state is what is known of one content of a file, and whether it is time for a check.
func (k *Keeper) state(ctx context.Context, file, fingerprint string) (db.AccountState, bool, error) {
	row, err := k.DB.AccountState(ctx, db.AccountStateParams{HostID: k.HostID, File: file})
	if errors.Is(err, pgx.ErrNoRows) {
		return db.AccountState{}, true, nil
	}
	if err != nil {
		return db.AccountState{}, false, fmt.Errorf("read state of account: %w", err)
	}
	if row.AccountState.Fingerprint != fingerprint {
		// What is known of another login is void; that its refresh was interrupted is not.
		return db.AccountState{RefreshBegan: row.AccountState.RefreshBegan, Fingerprint: row.AccountState.Fingerprint}, true, nil
	}
	return row.AccountState, row.Due, nil
}

func stretched(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()*stretch*float64(d)) //nolint:gosec // spreads load, keeps no secret
}
