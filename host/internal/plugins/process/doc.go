// Package process starts, finds again and watches the processes of plugins, and keeps what outlives their host: sockets,
// re-attach records, and logs of which the next host reads the rest. It knows nothing of what the plugins are for.
package process
