"""How many good parts are rejected, where a rate was asked for? By leave-one-out and by split."""
