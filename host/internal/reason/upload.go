package reason

// uploads are the codes of transfers.
var uploads = catalogue{}
