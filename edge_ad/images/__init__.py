"""Images in the workshop: good ones to fit on, labelled ones to evaluate on."""
