"""One way to score each: a module that runs in an environment of its own."""
