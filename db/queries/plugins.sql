-- name: SavePluginStates :exec
-- All plugins of a host at once; those that are not named are gone.
WITH now_there AS (
    SELECT unnest(sqlc.arg(plugins)::text[]) AS plugin, unnest(sqlc.arg(kinds)::text[]) AS kind, unnest(sqlc.arg(versions)::text[]) AS version,
           unnest(sqlc.arg(states)::text[]) AS state, unnest(sqlc.arg(errors)::text[]) AS error
), gone AS (
    DELETE FROM plugin_states p WHERE p.host_id = sqlc.arg(host_id) AND p.plugin <> ALL (coalesce(sqlc.arg(plugins)::text[], '{}'))
)
INSERT INTO plugin_states AS p (host_id, plugin, kind, version, state, error)
SELECT sqlc.arg(host_id), n.plugin, n.kind, n.version, n.state, n.error FROM now_there n
ON CONFLICT (host_id, plugin) DO UPDATE SET kind = excluded.kind, version = excluded.version, state = excluded.state, error = excluded.error, updated_at = now()
WHERE (p.kind, p.version, p.state, p.error) IS DISTINCT FROM (excluded.kind, excluded.version, excluded.state, excluded.error);
