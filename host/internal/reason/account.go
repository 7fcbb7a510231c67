package reason

// accounts are the codes of accounts.
var accounts = catalogue{}
