// Package pipeline decides what becomes of what was recorded. It takes facts (a segment was closed, a hook is done, an upload
// is stored, a recording ended, an archive was accepted, is public or was refused, a person gave something up) inside the
// transaction that commits them, and orders the next job in the same transaction. It owns the states of segments, uploads,
// hook runs and submissions, and the table of what is done about each failure. Workers know it, and not each other.
package pipeline
