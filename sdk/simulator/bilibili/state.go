package bilibili

import "time"

// state is everything a simulator remembers. It is guarded by Server.mu.
type state struct {
	advanced time.Duration

	accounts map[int64]*account
	nextMID  int64
	qr       []*qrCode
	qrScript []QRState

	objects []*object
	byPath  map[string]*object // "/ugc/n….mp4"
	byName  map[string]*object // "n…", what a submission names
	byToken map[string]*object // by the token that Qiniu takes
	nextBiz int64

	archives []*archive
	nextAID  int64
	submits  []Submit
	life     lifeClock
	listLag  time.Duration
	fates    []*Fate
	covers   []Cover

	faults    []*rule
	nextFault FaultID

	requests    []*Request
	nextRequest int
	violations  []Violation
	attempts    map[string]int
	inFlight    map[string]map[string]int
}

// Numbers of the real service passed 32 bits long ago; a client that keeps one in an int32 shall fail here.
const (
	firstMID = 10001
	firstBiz = 30000000001
	firstAID = 112861976201494
)

func newState(options Options) *state {
	st := &state{
		accounts: map[int64]*account{}, byPath: map[string]*object{}, byName: map[string]*object{}, byToken: map[string]*object{},
		attempts: map[string]int{}, inFlight: map[string]map[string]int{},
		nextMID: firstMID, nextBiz: firstBiz, nextAID: firstAID, nextFault: 1, nextRequest: 1,
		qrScript: options.QRScript, listLag: options.ListLag,
	}
	if options.ArchiveSpeed != 0 {
		st.life = lifeClock{speed: options.ArchiveSpeed, since: options.Now()}
	}
	return st
}
