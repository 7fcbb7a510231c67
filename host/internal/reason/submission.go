package reason

// submissions are the codes of submissions.
var submissions = catalogue{}
