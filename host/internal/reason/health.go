package reason

// healthChecks are the codes of health checks.
var healthChecks = catalogue{}
