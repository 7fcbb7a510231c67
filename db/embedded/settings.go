package embedded

import (
	"maps"
	"slices"
)

// smallServer suits a program with a few connections on a machine that has better things to do. What is committed is on
// disk: fsync, full_page_writes and synchronous_commit stay on.
var smallServer = map[string]string{
	"synchronous_commit":          "on",
	"max_connections":             "40",
	"shared_buffers":              "32MB",
	"work_mem":                    "4MB",
	"maintenance_work_mem":        "32MB",
	"max_worker_processes":        "2",
	"max_parallel_workers":        "0",
	"autovacuum_max_workers":      "2",
	"jit":                         "off",
	"wal_level":                   "minimal", // nobody replicates from it, so the log holds what recovery needs and no more
	"max_wal_senders":             "0",
	"min_wal_size":                "32MB",
	"max_wal_size":                "256MB",
	"log_checkpoints":             "off",
	"log_timezone":                "GMT", // the one zone that PostgreSQL knows on a machine without tzdata
	"timezone":                    "GMT",
	"lc_messages":                 "C",
	"log_line_prefix":             "%m [%p] ",
	"log_autovacuum_min_duration": "-1",
}

// settingsArgs turns all settings into arguments of the server, which win over postgresql.conf. The last ones are what
// this package relies on and cannot be changed.
func (c *cluster) settingsArgs(socketDir string) []string {
	settings := maps.Clone(smallServer)
	maps.Copy(settings, c.options.Settings)
	maps.Copy(settings, map[string]string{
		"listen_addresses":        "", // no TCP, ever
		"port":                    "5432",
		"unix_socket_directories": socketDir,
		"unix_socket_permissions": "0700",
		"cluster_name":            c.token,
		"logging_collector":       "off",
		"log_destination":         "stderr",
	})
	var args []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}
