"""The methods beside one another: how well they find defects, what they weigh, what they take."""
