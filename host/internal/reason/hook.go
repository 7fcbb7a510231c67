package reason

// hookSteps are the codes of hook steps.
var hookSteps = catalogue{}
